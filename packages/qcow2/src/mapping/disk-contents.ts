import type { IoVector } from "@img/io-vector";
import { guestOffset, readStorage, type FormatAccess, type HostPlace, type Io } from "@img/format-core";
import type { ImageTables } from "../image-tables.ts";
import type { OldContents } from "../write/image-writer.ts";
import { readCompressed } from "./read-compressed.ts";

/** The disk as it is, for those parts of the driver that copy from it. Whoever calls holds a lease. */
export class DiskContents implements OldContents {
  readonly #tables: ImageTables;
  readonly #backing: FormatAccess | null;

  constructor(tables: ImageTables, backing: FormatAccess | null) {
    this.#tables = tables;
    this.#backing = backing;
  }

  get size(): number {
    return this.#tables.size;
  }

  get backed(): boolean {
    return this.#backing !== null;
  }

  *readOld(into: IoVector, offset: number): Io<void> {
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const mapping = yield* this.#tables.map.get(at, into.length - done);
      const length = mapping.kind === "eof" ? into.length - done : mapping.length;
      const part = into.slice(done, done + length);
      switch (mapping.kind) {
        case "raw":
          yield* readStorage(mapping.storage, part, mapping.offset);
          break;
        case "special":
          yield* this.readSpecial(part, at);
          break;
        case "indirect":
          yield* mapping.layer.io.readLeased(part, mapping.offset);
          break;
        case "zero":
        case "eof":
          part.fill(0);
      }
      done += length;
    }
  }

  /** Reads a range that was mapped as special. */
  readSpecial(into: IoVector, offset: number): Io<void> {
    return readCompressed(this.#tables, into, offset, (part, at) => this.readOld(part, at));
  }

  *readsAsZero(offset: number, length: number): Io<boolean> {
    for (let done = 0; done < length;) {
      const rest = length - done;
      const mapping = yield* this.#tables.map.get(offset + done, rest);
      if (mapping.kind === "eof") {
        return true;
      }
      if (mapping.kind === "indirect") {
        const below = yield* mapping.layer.io.resolveLeased(mapping.offset, mapping.length);
        if (below.kind === "eof") {
          done += mapping.length;
          continue;
        }
        if (below.kind !== "zero") {
          return false;
        }
        done += below.length;
      } else if (mapping.kind === "zero") {
        done += mapping.length;
      } else {
        return false;
      }
    }
    return true;
  }

  peekOld(offset: number, length: number): HostPlace | "zero" | undefined {
    const mapping = this.#tables.map.peek(offset, length);
    if (mapping === undefined || mapping.kind === "eof" || mapping.length < length) {
      return undefined;
    }
    const found = mapping.kind === "indirect" ? mapping.layer.io.peekLeased(mapping.offset, length) : mapping;
    if (found === undefined || found.length < length) {
      return undefined;
    }
    return found.kind === "raw" ? found : found.kind === "zero" ? "zero" : undefined;
  }

  peekData(offset: number, length: number): HostPlace | undefined {
    const mapping = this.#tables.map.peek(guestOffset(offset), length);
    return mapping?.kind === "raw" && mapping.writable && mapping.length >= length ? mapping : undefined;
  }

  forgetCompressed(hostOffset: number): void {
    this.#tables.decompressed.forget(hostOffset);
  }
}
