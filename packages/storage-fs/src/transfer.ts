import type { IoVector } from "@img/io-vector";

/** Most bytes that one system call is asked to move: Node counts them in 32 bits, Linux stops below 2 GiB. */
export const longestTransfer: number = 0x4000_0000;

/** Buffers that one system call takes (`IOV_MAX`). */
const mostBuffers = 1024;

/** The buffers for the next system call when `done` bytes of `vector` have been moved. */
export function pieceFrom(vector: IoVector, done: number): readonly Uint8Array[] {
  const rest = done === 0 ? vector : vector.slice(done);
  return rest.bufferCount <= mostBuffers ? rest.buffers : rest.buffers.slice(0, mostBuffers);
}

/** Whether a signal came in between, so that the call has to be made again; libuv doesn't do it for reads. */
export function isInterrupted(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "EINTR";
}
