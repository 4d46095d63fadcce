import { isPromise } from "@img/format-core";
import type { DuplexStream } from "../../src/stream/duplex-stream.ts";

/** A stream whose writes and reads come in pieces of `next()` bytes; how they are cut is all that differs. */
export function fragmenting(stream: DuplexStream, next: () => number): DuplexStream {
  let rest: Uint8Array = new Uint8Array();
  const cut = (chunk: Uint8Array | undefined): Uint8Array | undefined => {
    if (chunk === undefined) {
      return undefined;
    }
    const length = next();
    rest = chunk.subarray(length);
    return chunk.subarray(0, length);
  };
  return {
    label: stream.label,
    read: () => {
      if (rest.length > 0) {
        return cut(rest);
      }
      const chunk = stream.read();
      return isPromise(chunk) ? chunk.then(cut) : cut(chunk);
    },
    write: async (buffers) => {
      for (const buffer of buffers) {
        for (let at = 0; at < buffer.length;) {
          const length = next();
          await stream.write([buffer.subarray(at, at + length)]);
          at += length;
        }
      }
    },
    end: () => stream.end(),
    destroy: (error) => {
      stream.destroy(error);
    },
  };
}
