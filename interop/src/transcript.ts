import { createHash } from "node:crypto";
import { ImgError, type Io } from "@img/format-core";

/** Everything that was asked of images, and what came of it: one line for each call, in the order of asking. */
export class Transcript {
  readonly lines: string[] = [];

  /** Makes a call, and writes down its outcome, a failure too. */
  *record<T>(what: string, call: Io<T>, show: (value: T) => string): Io<T> {
    const index = this.lines.push(`${what}: not answered`) - 1;
    try {
      const value = yield* call;
      this.lines[index] = `${what}: ${show(value)}`;
      return value;
    } catch (error) {
      this.lines[index] = `${what}: ${describeFailure(error)}`;
      throw error;
    }
  }

  /** Writes something down. */
  add(line: string): void {
    this.lines.push(line);
  }
}

/** Bytes in short; different for different ones. */
export function digest(bytes: Uint8Array): string {
  return `${String(bytes.length)} bytes ${createHash("sha1").update(bytes).digest("hex").slice(0, 16)}`;
}

function describeFailure(error: unknown): string {
  if (error instanceof ImgError) {
    return `${error.code} ${error.message}`;
  }
  return error instanceof Error ? `${error.name} ${error.message}` : String(error);
}
