import { alignDown, type Io } from "@img/format-core";
import { isZero } from "@img/io-vector";
import type { StreamExtent, StreamSource } from "@img/qcow2";
import type { SourceDisk } from "../convert/source-disk.ts";
import type { TargetComparison } from "../convert/target-comparison.ts";
import { Pacer } from "../pacer.ts";
import type { StreamDetection } from "./stream-options.ts";

/** What is read at once to look at it, bytes. */
const windowLength = 2 * 1024 * 1024;

/** How {@link DiskExtents} tells what has to be stored. */
interface ExtentRules {
  readonly detect: StreamDetection;
  /** Bytes that are allocated together. */
  readonly granule: number;
  /** What is known of the image below; `undefined`: there is none, or nothing is. */
  readonly comparison: TargetComparison | undefined;
}

/** Sources as a disk that is to be streamed. */
export class DiskExtents implements StreamSource {
  readonly size: number;
  readonly #disk: SourceDisk;
  readonly #rules: ExtentRules;
  readonly #pacer = new Pacer();
  /** What was read last to be looked at, and where it begins in the disk. */
  #window: { readonly start: number; readonly bytes: Uint8Array } | undefined;

  constructor(disk: SourceDisk, rules: ExtentRules) {
    this.size = disk.size;
    this.#disk = disk;
    this.#rules = rules;
  }

  *extentAt(offset: number, length: number): Io<StreamExtent> {
    yield* this.#pacer.pause();
    const { detect, comparison } = this.#rules;
    if (detect === "nothing") {
      return { kind: "data", length };
    }
    let most = length;
    if (comparison !== undefined) {
      const run = yield* comparison.runAt(offset, offset + length);
      if (run.kind === "same") {
        return { kind: "unallocated", length: run.length };
      }
      most = run.length;
    }
    const run = yield* this.#disk.runAt(offset, most);
    const known = Math.min(run.length, most);
    if (run.zero) {
      return { kind: "zero", length: known };
    }
    return detect === "contents" ? yield* this.#look(offset, known) : { kind: "data", length: known };
  }

  read(into: Uint8Array, offset: number): Io<void> {
    return this.#disk.read(into, offset);
  }

  /** Looks at data: at what of it is alike from the start on, granule by granule, in what is read at once. */
  *#look(offset: number, length: number): Io<StreamExtent> {
    const { start, bytes } = yield* this.#windowAt(offset);
    const end = Math.min(offset + length, start + bytes.length);
    let found: StreamExtent["kind"] | undefined;
    let at = offset;
    while (at < end) {
      const next = Math.min(alignDown(at, this.#rules.granule) + this.#rules.granule, end);
      const kind = yield* this.#kindOf(bytes.subarray(at - start, next - start), at);
      if (found !== undefined && kind !== found) {
        break;
      }
      found = kind;
      at = next;
    }
    return { kind: found ?? "data", length: at - offset };
  }

  *#kindOf(bytes: Uint8Array, offset: number): Io<StreamExtent["kind"]> {
    const { comparison } = this.#rules;
    if (comparison !== undefined && (yield* comparison.differences(bytes, offset)).length === 0) {
      return "unallocated";
    }
    return isZero(bytes) ? "zero" : "data";
  }

  *#windowAt(offset: number): Io<{ readonly start: number; readonly bytes: Uint8Array }> {
    const start = alignDown(offset, windowLength);
    if (this.#window?.start !== start) {
      const bytes = new Uint8Array(Math.min(windowLength, this.size - start));
      yield* this.#disk.read(bytes, start);
      this.#window = { start, bytes };
    }
    return this.#window;
  }
}
