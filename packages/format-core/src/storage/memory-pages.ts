import { alignDown, alignUp } from "../numbers/offsets.ts";
import type { Extent } from "./storage.ts";

/** Bytes in one page. */
export const pageSize: number = 64 * 1024;

/**
 * An endless array of zero bytes that takes memory only for the pages that were written. Plain calls; ranges are the caller's
 * to check.
 */
export class MemoryPages {
  readonly #pages = new Map<number, Uint8Array>();

  /** Pages that take memory. */
  get count(): number {
    return this.#pages.size;
  }

  /** Fills `into` from `offset` on. */
  read(into: Uint8Array, offset: number): void {
    let done = 0;
    while (done < into.length) {
      const at = (offset + done) % pageSize;
      const length = Math.min(pageSize - at, into.length - done);
      const page = this.#pages.get((offset + done - at) / pageSize);
      if (page === undefined) {
        into.fill(0, done, done + length);
      } else {
        into.set(at === 0 && length === pageSize ? page : page.subarray(at, at + length), done);
      }
      done += length;
    }
  }

  /** Stores all of `from` at `offset`. */
  write(from: Uint8Array, offset: number): void {
    let done = 0;
    while (done < from.length) {
      const at = (offset + done) % pageSize;
      const length = Math.min(pageSize - at, from.length - done);
      const part = length === from.length ? from : from.subarray(done, done + length);
      this.#ensure((offset + done - at) / pageSize).set(part, at);
      done += length;
    }
  }

  /** Gives memory to every page that the range touches. */
  allocate(offset: number, length: number): void {
    for (let at = alignDown(offset, pageSize); at < offset + length; at += pageSize) {
      this.#ensure(at / pageSize);
    }
  }

  /** Makes a range read as zero. `free`: pages that lie inside as a whole give their memory back. */
  zero(offset: number, length: number, free: boolean): void {
    const end = offset + length;
    for (const index of this.#within(offset, end)) {
      const start = index * pageSize;
      if (free && start >= offset && start + pageSize <= end) {
        this.#pages.delete(index);
      } else {
        this.#pages.get(index)?.fill(0, Math.max(offset - start, 0), Math.min(end - start, pageSize));
      }
    }
  }

  /** Frees the pages that lie inside of a range as a whole; they read as zero then. */
  drop(offset: number, length: number): void {
    const start = alignUp(offset, pageSize);
    const end = alignDown(offset + length, pageSize);
    if (start < end) {
      this.zero(start, end - start, true);
    }
  }

  /** Which parts of a range have memory: ordered, contiguous, exactly the range. */
  extents(offset: number, length: number): Extent[] {
    const end = offset + length;
    const extents: Extent[] = [];
    const add = (kind: Extent["kind"], from: number, to: number): void => {
      const last = extents.at(-1);
      if (last?.kind === kind) {
        extents[extents.length - 1] = { kind, offset: last.offset, length: to - last.offset };
      } else if (from < to) {
        extents.push({ kind, offset: from, length: to - from });
      }
    };
    let at = offset;
    for (const index of this.#within(offset, end)) {
      const start = Math.max(index * pageSize, offset);
      const stop = Math.min((index + 1) * pageSize, end);
      add("hole", at, start);
      add("data", start, stop);
      at = stop;
    }
    add("hole", at, end);
    return extents;
  }

  #ensure(index: number): Uint8Array {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint8Array(pageSize);
      this.#pages.set(index, page);
    }
    return page;
  }

  /** Indices of the pages that have memory and touch a range, in order. */
  #within(offset: number, end: number): number[] {
    const first = Math.floor(offset / pageSize);
    const stop = Math.ceil(end / pageSize);
    const found: number[] = [];
    // of a huge sparse range, look at what is there rather than at every place
    if (stop - first > this.#pages.size) {
      for (const index of this.#pages.keys()) {
        if (index >= first && index < stop) {
          found.push(index);
        }
      }
      return found.sort((a, b) => a - b);
    }
    for (let index = first; index < stop; index++) {
      if (this.#pages.has(index)) {
        found.push(index);
      }
    }
    return found;
  }
}
