import type { ImgError } from "@img/format-core";
import type { ReadAssembly } from "./read-assembly.ts";
import type { StatusAssembly } from "./status-assembly.ts";

/** A request that was sent and isn't answered. */
export interface PendingRequest {
  /** One of `commands`. */
  readonly type: number;
  readonly offset: number;
  readonly length: number;
  /** Of READ. */
  readonly data: ReadAssembly | undefined;
  /** Of BLOCK_STATUS. */
  readonly status: StatusAssembly | undefined;
  /** A chunk has come. */
  isBegun: boolean;
  /** The stream has passed it on, and doesn't look at its buffers any more. */
  isSent: boolean;
  /** The first error that a chunk told of. */
  error: ImgError | undefined;
  readonly resolve: () => void;
  /** @param error - an `ImgError` that the server has answered with, or a `LostConnection` */
  readonly reject: (error: unknown) => void;
}
