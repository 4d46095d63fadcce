import { IoVector } from "@img/io-vector";
import { ImgError, syncStorage, writeStorage, type Io } from "@img/format-core";
import type { BitmapRecord } from "../../bitmaps/load-bitmaps.ts";
import type { BitmapsExtension } from "../../header/known-extensions.ts";
import { limits, sectorSize } from "../../header/layout.ts";
import type { HeaderWriter } from "../header-writer.ts";
import { freeTable, writeTable } from "../table-space.ts";
import type { WriteContext } from "../write-context.ts";
import { setBitmapsExtension, type ExtensionTarget } from "./bitmaps-extension.ts";

/** The image whose bitmap directory is changed. */
export interface DirectoryTarget extends ExtensionTarget {
  readonly context: WriteContext;
  readonly header: HeaderWriter;
}

/**
 * Points the header at a new directory with `records`, which is durable then as everything else that was changed before. The old one's clusters wait to be
 * freed. If it fails, the image has the bitmaps that it had.
 * @param old - where the directory is; `undefined`: there is none
 * @returns where it is now
 * @throws ImgError `ERR_IMG_LIMIT` when it would be too long; `ERR_IMG_NO_SPACE` when the first cluster has no room for what points at it
 */
export function* replaceDirectory(
  target: DirectoryTarget,
  old: BitmapsExtension | undefined,
  records: readonly BitmapRecord[],
): Io<BitmapsExtension | undefined> {
  const { context, header } = target;
  const bytes = serialize(records);
  const table = yield* writeTable(context, bytes);
  try {
    yield* context.caches.flushAll();
    yield* context.caches.syncWritten();
  } catch (error) {
    table.free();
    throw error;
  }
  const place =
    records.length === 0
      ? undefined
      : { count: records.length, directorySize: bytes.length, directoryOffset: table.offset };
  yield* header.change(
    () => setBitmapsExtension(target, place),
    () => setBitmapsExtension(target, old),
    table.free,
  );
  if (old !== undefined) {
    freeTable(context, old.directoryOffset, old.directorySize);
  }
  return place;
}

/**
 * Writes entries whose flags alone have changed where they are, and makes them durable. A power cut leaves each with its old flags or its new ones.
 * @param before - the entries as they stand there
 */
export function* writeFlags(
  { storage }: DirectoryTarget,
  place: BitmapsExtension,
  before: readonly BitmapRecord[],
  after: readonly BitmapRecord[],
): Io<void> {
  const [old, bytes] = [serialize(before), serialize(after)];
  const first = bytes.findIndex((byte, at) => byte !== old[at]);
  if (first < 0) {
    return;
  }
  let last = bytes.length - 1;
  while (bytes[last] === old[last]) {
    last--;
  }
  // whole sectors, so that no part of an entry is written by itself
  const start = first - (first % sectorSize);
  const end = Math.min(Math.ceil((last + 1) / sectorSize) * sectorSize, bytes.length);
  yield* writeStorage(storage, IoVector.from(bytes.subarray(start, end)), place.directoryOffset + start);
  yield* syncStorage(storage);
}

function serialize(records: readonly BitmapRecord[]): Uint8Array {
  const length = records.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (length > limits.bitmapDirectoryLength || records.length > limits.bitmapCount) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `${String(records.length)} bitmaps with a directory of ${String(length)} bytes: expected at most ${String(limits.bitmapCount)} and ${String(limits.bitmapDirectoryLength)} bytes`,
    );
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const { bytes } of records) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}
