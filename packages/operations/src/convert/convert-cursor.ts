import type { SharedPart, SharedParts } from "../parts/shared-parts.ts";

type Span = Pick<SharedPart, "start" | "end">;

/** How far a conversion has been handed out to those who copy it: of the part that it is at, everything before {@link position} is taken. */
export class ConvertCursor {
  readonly #parts: SharedParts | undefined;
  #position = 0;
  #end: number;
  #done = 0;
  #written = 0;

  /** @param disk - its size in bytes, to go through it from its start; or its parts, of which others may take some */
  constructor(disk: number | SharedParts) {
    this.#parts = typeof disk === "number" ? undefined : disk;
    this.#end = typeof disk === "number" ? disk : 0;
  }

  /** Bytes from the start of the disk. */
  get position(): number {
    return this.#position;
  }

  /** Where the part ends that {@link position} is in, bytes from the start of the disk. */
  get end(): number {
    return this.#end;
  }

  /** Bytes dealt with. */
  get done(): number {
    return this.#parts?.done ?? this.#done;
  }

  /** Bytes of them that were written as data. */
  get written(): number {
    return this.#parts?.written ?? this.#written;
  }

  /** Goes on to a part of the disk. */
  begin({ start, end }: Span): void {
    this.#position = start;
    this.#end = end;
  }

  /** Goes on to the next part. It is our own from now on: when it can't be copied, nothing can. `false`: there is none. */
  advance(): boolean {
    const part = this.#parts?.take();
    if (part === undefined) {
      return false;
    }
    this.#parts?.settle(part);
    this.begin(part);
    return true;
  }

  /** Takes `[from, to)`, unless somebody was faster and {@link position} isn't `from` any more. */
  take(from: number, to: number): boolean {
    if (this.#position !== from) {
      return false;
    }
    this.#position = to;
    return true;
  }

  /** Says that bytes that were taken are dealt with. */
  finish(length: number, written: number): void {
    this.#done += length;
    this.#written += written;
    this.#parts?.add(length, written);
  }
}
