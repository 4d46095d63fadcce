import { ImgError, wrapHostError } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { NbdConnector } from "./client-options.ts";

/** Milliseconds for connecting and the handshake, unless told otherwise. */
export const defaultHandshakeTimeout: number = 10_000;

/**
 * Connects and does something with the connection, all of it within `timeout` milliseconds (0: without end). When it fails, the connection is dropped.
 * @throws ImgError `ETIMEDOUT`; what connecting and `work` throw
 */
export async function connectInTime<T>(
  connect: NbdConnector,
  timeout: number,
  work: (stream: DuplexStream) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController();
  const { signal } = aborter;
  const late = (): void => {
    aborter.abort(new ImgError("ETIMEDOUT", `no NBD connection within ${timeout} ms`));
  };
  const timer = timeout === 0 ? undefined : setTimeout(late, timeout);
  let stream: DuplexStream | undefined;
  signal.addEventListener("abort", () => stream?.destroy(signal.reason));
  try {
    stream = await connect(signal);
    signal.throwIfAborted();
    return await work(stream);
  } catch (error) {
    stream?.destroy();
    signal.throwIfAborted();
    throw wrapHostError(error, `${stream?.label ?? "NBD"}: the handshake failed`);
  } finally {
    clearTimeout(timer);
  }
}
