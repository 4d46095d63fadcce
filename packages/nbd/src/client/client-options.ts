import type { MaybePromise } from "@img/format-core";
import type { ReplyStyle } from "../protocol/reply.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";

/**
 * Connects to a server: called once for each connection, and again when one was lost.
 * @param signal - aborted when it takes too long; what was begun is to be dropped then
 */
export type NbdConnector = (signal: AbortSignal) => MaybePromise<DuplexStream>;

/** How a client protects a connection. */
export interface ClientTls {
  /** Takes `stream` over and gives it back protected, after a TLS handshake as the client. */
  upgrade(stream: DuplexStream): MaybePromise<DuplexStream>;
}

/** What a client wants of a server. */
export interface NegotiateOptions {
  /** Default `""`: the server's default export. */
  readonly exportName?: string;
  /** TLS is required then, and nothing is asked for before it. Default: no TLS. */
  readonly tls?: ClientTls;
  /** Contexts to ask for. Default: `base:allocation`. */
  readonly contexts?: readonly string[];
  /** The best replies to ask for; servers may offer less. Default `"extended"`. */
  readonly replies?: ReplyStyle;
}
