import {
  discardStorage,
  drive,
  flushStorage,
  readStorage,
  storageExtents,
  syncStorage,
  writeStorage,
  zeroStorage,
  type Io,
  type MaybePromise,
  type Storage,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { allocationFlags, payloadLimit } from "../protocol/transmission-numbers.ts";
import { describedBy, type ExportOptions } from "./format-export.ts";
import { inPieces } from "./in-pieces.ts";
import type { ExportZeroOptions, NbdExport, NbdMetaContext } from "./nbd-export.ts";
import { SyncQueue } from "./sync-queue.ts";

/**
 * A storage as an export: its bytes as they are. The storage stays the caller's; its size must not change meanwhile.
 * @throws RangeError for block sizes that can't be
 */
export function storageExport(storage: Storage, options: ExportOptions = {}): NbdExport {
  const writable = (options.writable ?? true) && storage.writable;
  const discard = options.discard ?? true;
  const syncs = new SyncQueue(() => drive(syncAll(storage)));
  const preferred = Math.max(4096, storage.limits.request);
  return {
    ...describedBy(options),
    size: storage.size,
    writable,
    blockSize: options.blockSize ?? { minimum: 1, preferred, maximum: payloadLimit },
    contexts: [extentsContext(storage), ...(options.contexts ?? [])],
    read: (into: IoVector, offset: number): MaybePromise<void> => drive(readStorage(storage, into, offset)),
    flush: (): MaybePromise<void> => (writable ? syncs.flush() : undefined),
    ...(writable ? changing(storage, discard) : {}),
  };
}

function changing(storage: Storage, discard: boolean): Partial<NbdExport> {
  return {
    write: (from: IoVector, offset: number): MaybePromise<void> => drive(writeStorage(storage, from, offset)),
    writeZeroes: (offset: number, length: number, { allocate, signal }: ExportZeroOptions): MaybePromise<void> => {
      const zero = (at: number, part: number): MaybePromise<void> =>
        drive(zeroStorage(storage, at, part, { allocate: allocate || !discard }));
      return inPieces(offset, length, zero, signal);
    },
    ...(discard
      ? {
          trim: (offset: number, length: number, signal?: AbortSignal): MaybePromise<void> =>
            inPieces(offset, length, (at, part) => drive(discardStorage(storage, at, part)), signal),
        }
      : {}),
  };
}

function extentsContext(storage: Storage): NbdMetaContext {
  return {
    name: "base:allocation",
    status: (offset, length) => drive(statusOf(storage, offset, length)),
  };
}

function* statusOf(storage: Storage, offset: number, length: number): Io<StatusExtent[]> {
  const extents = yield* storageExtents(storage, offset, length);
  const hole = allocationFlags.hole | allocationFlags.zero;
  return extents.map((extent) => ({ length: extent.length, flags: extent.kind === "hole" ? hole : 0 }));
}

function* syncAll(storage: Storage): Io<void> {
  yield* flushStorage(storage);
  yield* syncStorage(storage);
}
