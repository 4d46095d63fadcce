import { ImgError, wrapHostError } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { NbdConnector } from "./client-options.ts";

/** Milliseconds for connecting and the handshake, unless told otherwise. */
export const defaultHandshakeTimeout: number = 10_000;

/** How long {@link connectInTime} goes on. */
export interface ConnectLimits {
  /** Milliseconds; 0: without end. */
  readonly timeout: number;
  /** Ends it earlier. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects and does something with the connection, all of it within a time. When it fails, the connection is dropped; one that comes later, too.
 * @throws ImgError `ETIMEDOUT`; the signal's reason; what connecting and `work` throw
 */
export async function connectInTime<T>(
  connect: NbdConnector,
  { timeout, signal }: ConnectLimits,
  work: (stream: DuplexStream) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController();
  const aborted = abortOf(aborter.signal);
  const late = (): void => {
    aborter.abort(new ImgError("ETIMEDOUT", `no NBD connection within ${timeout} ms`));
  };
  const given = (): void => {
    aborter.abort(signal?.reason);
  };
  const timer = timeout === 0 ? undefined : setTimeout(late, timeout);
  signal?.addEventListener("abort", given);
  try {
    signal?.throwIfAborted();
    return await Promise.race([connectAndWork(connect, aborter.signal, work), aborted]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", given);
  }
}

/** Never resolves; rejects when the signal is aborted. */
function abortOf(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason as Error);
    });
  });
  // it may happen when nobody listens any more
  aborted.catch(() => undefined);
  return aborted;
}

async function connectAndWork<T>(
  connect: NbdConnector,
  signal: AbortSignal,
  work: (stream: DuplexStream) => Promise<T>,
): Promise<T> {
  let stream: DuplexStream | undefined;
  signal.addEventListener("abort", () => stream?.destroy(signal.reason));
  try {
    stream = await connect(signal);
    signal.throwIfAborted();
    return await work(stream);
  } catch (error) {
    stream?.destroy();
    throw wrapHostError(error, `${stream?.label ?? "NBD"}: the handshake failed`);
  }
}
