import { runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { Random } from "./random.ts";

/** Reads the whole disk through promises, in requests of `requestLength` bytes, several in flight. */
export async function readWholeAsync(access: FormatAccess, requestLength: number): Promise<Uint8Array> {
  const whole = new Uint8Array(access.size);
  const reads: Promise<void>[] = [];
  for (let at = 0; at < whole.length; at += requestLength) {
    reads.push(access.read(whole.subarray(at, Math.min(at + requestLength, whole.length)), at));
  }
  await Promise.all(reads);
  return whole;
}

/** Reads the whole disk synchronously, in requests of `requestLength` bytes. */
export function readWholeSync(access: FormatAccess, requestLength: number): Uint8Array {
  const whole = new Uint8Array(access.size);
  for (let at = 0; at < whole.length; at += requestLength) {
    const part = whole.subarray(at, Math.min(at + requestLength, whole.length));
    runSync(access.io.read(IoVector.single(part), at));
  }
  return whole;
}

/** A read at any offset, of any length, perhaps past the end, into one buffer or several. */
export interface OddRead {
  readonly offset: number;
  readonly length: number;
  readonly buffers: number;
}

/** `count` reads, unaligned, clustered around the borders of clusters, of which some reach past the end of the disk. */
export function oddReads(size: number, clusterSize: number, count: number, random: Random): OddRead[] {
  return Array.from({ length: count }, () => {
    const border = random.below(Math.ceil(size / clusterSize) + 1) * clusterSize;
    const near = random.chance(0.5) ? border + random.between(-5000, 5000) : random.below(size + 10_000);
    const most = random.pick([1, 16, 700, 5000, 3 * clusterSize, 100_000]);
    return { offset: Math.max(0, near), length: random.between(1, most), buffers: random.pick([1, 1, 2, 5]) };
  });
}

/** What an odd read of a disk with `contents` has to give: zeroes past the end. */
export function expectedOfRead(contents: Uint8Array, read: OddRead): Uint8Array {
  const expected = new Uint8Array(read.length);
  expected.set(contents.subarray(Math.min(read.offset, contents.length), read.offset + read.length));
  return expected;
}

/** `buffer` as that many buffers behind each other. */
export function scattered(buffer: Uint8Array, buffers: number): IoVector {
  const vector = new IoVector();
  const step = Math.ceil(buffer.length / buffers);
  for (let at = 0; at < buffer.length; at += step) {
    vector.push(buffer.subarray(at, at + step));
  }
  return vector;
}
