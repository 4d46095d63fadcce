import type { MaybePromise } from "@img/format-core";

/**
 * A connection as bytes in both directions: a socket, TLS, a WebSocket, a `MessagePort`, a pair in memory.
 *
 * What is written arrives in order and complete, or the stream fails. One {@link read} and one {@link write} may be in flight at once; whoever
 * uses a stream waits for the one before it asks for the next. A stream that failed fails at every later call, with the same error.
 */
export interface DuplexStream {
  /** The peer, for people: `unix:/run/nbd.sock`, `tcp:192.0.2.1:40112`. */
  readonly label: string;
  /**
   * The next bytes as they come, at least one; `undefined` when the peer has said that nothing more comes. The bytes are the caller's from
   * then on. A stream takes no more from the peer than a bounded number of bytes that nobody has read.
   * @throws the reason why the stream failed; `ERR_IMG_CLOSED` after {@link destroy}
   */
  read(): MaybePromise<Uint8Array | undefined>;
  /**
   * Sends all buffers behind each other. Settled when they may be changed again, which is also how a slow peer slows its writer down:
   * at once, if the stream has copied or passed on everything.
   * @throws the reason why the stream failed; `ERR_IMG_CLOSED` after {@link end} or {@link destroy}
   */
  write(buffers: readonly Uint8Array[]): MaybePromise<void>;
  /** Says to the peer that nothing more comes; settled when what was written is on its way. Reading goes on. */
  end(): MaybePromise<void>;
  /** Drops the connection at once, with whatever is still under way. Whoever is waiting fails with `error` (default: `ERR_IMG_CLOSED`). */
  destroy(error?: unknown): void;
  /**
   * `length` bytes of what {@link read} gave, which lie in `memory`, aren't needed any more: the stream may receive into them when it has got back all
   * that it received there. Each byte once. Bytes that nobody gives back are left to the garbage collector. Absent: all are.
   */
  recycle?(memory: ArrayBufferLike, length: number): void;
  /**
   * Calls back soon, when everything else that is ready now was done: the right moment to write what has accumulated until then.
   * Absent: a microtask.
   */
  defer?(callback: () => void): void;
}
