import type { IoVector } from "@img/io-vector";

/** Most bytes that one system call is asked to move: Node counts them in 32 bits, Linux stops below 2 GiB. */
export const longestTransfer: number = 0x4000_0000;

/**
 * Most bytes that one write into the host's page cache is asked to take. Linux takes memory for longer ones in blocks of a megabyte and more. A
 * virtual machine that gives free memory back may have to get those from its host first, which takes several times as long as the copying does.
 */
export const longestCachedWrite: number = 512 * 1024;

/** What Node adds to a system call is little beside copying more than this, bytes. */
const fewBytes = 64 * 1024;

/** Buffers that one system call takes (`IOV_MAX`). */
const mostBuffers = 1024;

/** The buffers for the next system call, for at most `most` bytes, when `done` bytes of `vector` have been moved. */
export function pieceFrom(vector: IoVector, done: number, most: number): readonly Uint8Array[] {
  const end = Math.min(done + most, vector.length);
  const rest = done === 0 && end === vector.length ? vector : vector.slice(done, end);
  return rest.bufferCount <= mostBuffers ? rest.buffers : rest.buffers.slice(0, mostBuffers);
}

/**
 * The one buffer of a vector that is moved through the native helper: it is short, and it still has the memory that it had when the vector was made,
 * which only Node's own calls look at.
 */
export function fewBytesOf(vector: IoVector): Uint8Array | undefined {
  const { singleBuffer, length } = vector;
  return length <= fewBytes && singleBuffer?.byteLength === length ? singleBuffer : undefined;
}

/** Whether a signal came in between, so that the call has to be made again; libuv doesn't do it for reads. */
export function isInterrupted(error: unknown): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === "EINTR";
}
