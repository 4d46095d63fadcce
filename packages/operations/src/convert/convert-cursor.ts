/** How far a conversion has been handed out, to whoever takes part in it: everything before {@link position} is taken. */
export interface ConvertCursor {
  /** Bytes from the start of the disk. */
  readonly position: number;
  /** Whether somebody gave up, and nobody should take more. */
  readonly stopped: boolean;
  /** Takes `[from, to)`, unless somebody was faster and {@link position} isn't `from` any more. */
  take(from: number, to: number): boolean;
  /** Says that bytes that were taken are dealt with. */
  finish(length: number, written: number): void;
  /** Bytes dealt with. */
  readonly done: number;
  /** Bytes of them that were written as data. */
  readonly written: number;
}

/** The cursor of a conversion that one thread does alone. */
export class LocalCursor implements ConvertCursor {
  position = 0;
  readonly stopped = false;
  done = 0;
  written = 0;

  take(from: number, to: number): boolean {
    if (this.position !== from) {
      return false;
    }
    this.position = to;
    return true;
  }

  finish(length: number, written: number): void {
    this.done += length;
    this.written += written;
  }
}
