import type { ImgError } from "@img/format-core";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import type { NbdErrorName } from "../protocol/transmission-numbers.ts";
import type { NbdPeer } from "./nbd-peer.ts";

/** What a stream becomes when it is protected. */
export interface SecuredStream {
  readonly stream: DuplexStream;
  /** Who the client has proved to be. */
  readonly identity?: string;
}

/** How a server uses TLS. */
export interface ServerTls {
  /** `required`: clients get nothing without it. `optional`: they may, and must for exports with `tlsRequired`. */
  readonly mode: "optional" | "required";
  /** Takes `stream` over and gives it back protected, after a TLS handshake as the server. What fails here ends the connection. */
  upgrade(stream: DuplexStream): Promise<SecuredStream>;
}

/** A request that was answered. */
export interface AnsweredRequest {
  /** One of `commands`. */
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  /** What the client was told; `undefined`: it worked. */
  readonly error: NbdErrorName | undefined;
}

/** Told what a server does: for logs and figures. Must not throw. */
export interface NbdObserver {
  connected?(client: NbdPeer): void;
  /** A client too many was dropped before the first byte. @param label - its stream's */
  refused?(label: string, error: ImgError): void;
  /** The handshake is done. */
  ready?(client: NbdPeer): void;
  answered?(client: NbdPeer, request: AnsweredRequest): void;
  /** Something failed that the client was told about in few words only. */
  failed?(client: NbdPeer, error: unknown): void;
  /** @param reason - why the connection was dropped; `undefined`: it came to its proper end */
  disconnected?(client: NbdPeer, reason: unknown): void;
}

/** Options of a server. Times are milliseconds, 0: without end; sizes are bytes. */
export interface NbdServerOptions {
  /** Default: no TLS. */
  readonly tls?: ServerTls;
  readonly observer?: NbdObserver;
  /** Time for the whole handshake. Default 10 s. */
  readonly handshakeTimeout?: number;
  /** A client that asks for nothing so long is dropped. Default 0. */
  readonly idleTimeout?: number;
  /** A client that takes nothing of what it asked for, or sends nothing of what it began to write, so long is dropped. Default 60 s. */
  readonly stallTimeout?: number;
  /** Connections at once; others are closed at once. Default 100. */
  readonly maxConnections?: number;
  /** Options during one handshake, besides some for each listed export. Default 64. */
  readonly maxOptions?: number;
  /** Requests of one connection that are begun and whose answers aren't sent. Default 64. */
  readonly maxRequests?: number;
  /** Their data; one request may have more. Default 16 MiB. */
  readonly maxBytes?: number;
  /** Data of all connections' requests; each connection has 1 MiB besides. Default 256 MiB. */
  readonly maxTotalBytes?: number;
  /** Whether structured replies and extended headers are offered; for tests of old clients' ways. Default `"extended"`. */
  readonly replies?: "simple" | "structured" | "extended";
}

/** {@link NbdServerOptions} with all defaults. */
export type ServerSettings = Required<Omit<NbdServerOptions, "tls" | "observer">> &
  Pick<NbdServerOptions, "tls" | "observer">;

/** @throws RangeError when a number is none */
export function serverSettings(options: NbdServerOptions): ServerSettings {
  return {
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    ...(options.observer === undefined ? {} : { observer: options.observer }),
    handshakeTimeout: atLeast(0, options.handshakeTimeout ?? 10_000, "handshakeTimeout"),
    idleTimeout: atLeast(0, options.idleTimeout ?? 0, "idleTimeout"),
    stallTimeout: atLeast(0, options.stallTimeout ?? 60_000, "stallTimeout"),
    maxConnections: atLeast(1, options.maxConnections ?? 100, "maxConnections"),
    maxOptions: atLeast(1, options.maxOptions ?? 64, "maxOptions"),
    maxRequests: atLeast(1, options.maxRequests ?? 64, "maxRequests"),
    maxBytes: atLeast(1, options.maxBytes ?? 16 * 1024 * 1024, "maxBytes"),
    maxTotalBytes: atLeast(1, options.maxTotalBytes ?? 256 * 1024 * 1024, "maxTotalBytes"),
    replies: options.replies ?? "extended",
  };
}

function atLeast(minimum: number, value: number, name: string): number {
  if (!(value >= minimum)) {
    throw new RangeError(`${name} ${value}: expected at least ${minimum}`);
  }
  return value;
}
