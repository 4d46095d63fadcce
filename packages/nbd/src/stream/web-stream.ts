import { closedError } from "./closed-error.ts";
import type { DuplexStream } from "./duplex-stream.ts";

/** What is needed of a `ReadableStream` of bytes. */
export interface ReadableBytes {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** What is needed of a `WritableStream` of bytes. */
export interface WritableBytes {
  getWriter(): {
    readonly ready: Promise<unknown>;
    write(chunk: Uint8Array): Promise<void>;
    close(): Promise<void>;
    abort(reason?: unknown): Promise<void>;
  };
}

/**
 * A pair of web streams as a stream: `WebTransport`, `WebSocketStream`, the sockets of other runtimes, whatever has `readable` and `writable`. Both are
 * locked from then on. What is written is copied: nobody knows how long a web stream keeps a chunk.
 */
export function webStream(
  { readable, writable }: { readonly readable: ReadableBytes; readonly writable: WritableBytes },
  label: string = "web stream",
): DuplexStream {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let failure: { readonly error: unknown } | undefined;
  const check = (): void => {
    if (failure !== undefined) {
      throw failure.error;
    }
  };
  // whoever writes or closes hears of failures; those nobody waits for must not end the program
  const ignore = (): void => undefined;
  return {
    label,
    read: async () => {
      check();
      for (;;) {
        const { done, value } = await reader.read();
        check();
        if (done || (value !== undefined && value.length > 0)) {
          return done ? undefined : value;
        }
      }
    },
    write: async (buffers) => {
      for (const buffer of buffers) {
        check();
        await writer.ready;
        writer.write(buffer.slice()).catch(ignore);
      }
    },
    end: () => writer.close(),
    destroy: (error) => {
      failure ??= { error: error ?? closedError(label) };
      reader.cancel(failure.error).catch(ignore);
      writer.abort(failure.error).catch(ignore);
    },
  };
}
