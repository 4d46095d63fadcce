import { IoVector } from "@img/io-vector";
import {
  hex,
  ImgError,
  KeyedMutex,
  LeaseLock,
  readStorage,
  writeStorage,
  type Io,
  type Storage,
} from "@img/format-core";
import { compressedFlag, copiedFlag, entryOffset, type L2EntryLayout } from "../tables/l2-entry.ts";
import type { Allocator } from "./allocator.ts";
import type { ClusterSet } from "./cluster-set.ts";
import type { MetadataCaches } from "./metadata-caches.ts";
import type { Reservation } from "./reservation.ts";

/** What {@link L2Tables} work with. */
export interface L2TablesParts {
  readonly storage: Storage;
  readonly caches: MetadataCaches;
  readonly allocator: Allocator;
  readonly layout: L2EntryLayout;
  readonly metadata: ClusterSet;
}

/** Makes L2 tables that may be changed. */
export class L2Tables {
  readonly #parts: L2TablesParts;
  readonly #mutex = new KeyedMutex<number>("L2 table");
  /** Shared by those who change entries of the L1 table, exclusive for who moves it. */
  readonly #l1Lock = new LeaseLock("the L1 table");

  constructor(parts: L2TablesParts) {
    this.#parts = parts;
  }

  /**
   * Host offset of the L2 table at `index` of the L1 table; 0: there is none.
   * @throws ImgError `ERR_IMG_CORRUPT` when the entry is impossible.
   */
  offset(index: number): number {
    const { l1 } = this.#parts.caches;
    if (index >= l1.length) {
      return 0;
    }
    const offset = entryOffset(l1.view.getUint32(index * 8), l1.view.getUint32(index * 8 + 4));
    if (offset % this.#parts.layout.clusterSize !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `L2 table ${String(index)} at host offset ${hex(offset)}: not cluster-aligned`,
      );
    }
    return offset;
  }

  /** Whether there is an L2 table at `index` that belongs to the active L1 table alone. */
  isOwn(index: number): boolean {
    const { l1 } = this.#parts.caches;
    if (index >= l1.length) {
      return false;
    }
    const high = l1.view.getUint32(index * 8);
    return (high & copiedFlag) !== 0 && entryOffset(high, l1.view.getUint32(index * 8 + 4)) !== 0;
  }

  /** Host offset of an L2 table at `index` that may be changed: the one there is, a copy of one that a snapshot shares, or a new one. */
  *ensure(index: number): Io<number> {
    if (this.isOwn(index)) {
      return this.offset(index);
    }
    yield* this.#mutex.acquire(index);
    try {
      yield* this.#l1Lock.shared();
      try {
        return this.isOwn(index) ? this.offset(index) : yield* this.#create(index);
      } finally {
        this.#l1Lock.releaseShared();
      }
    } finally {
      this.#mutex.release(index);
    }
  }

  /** Runs `body` while nobody changes entries of the L1 table. */
  *runAlone<T>(body: () => Io<T>): Io<T> {
    yield* this.#l1Lock.exclusive();
    try {
      return yield* body();
    } finally {
      this.#l1Lock.releaseExclusive();
    }
  }

  *#create(index: number): Io<number> {
    const { allocator, caches, layout, metadata, storage } = this.#parts;
    if (index >= caches.l1.length) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `L1 table has ${String(caches.l1.length)} entries: entry ${String(index)} is needed`,
      );
    }
    const old = this.offset(index);
    const reservation: Reservation = yield* allocator.reserve(1);
    const offset = reservation.first * layout.clusterSize;
    try {
      const table = old === 0 ? new Uint8Array(layout.clusterSize) : yield* this.#copy(old);
      caches.forget(offset, layout.clusterSize);
      yield* writeStorage(storage, IoVector.from(table), offset);
    } catch (error) {
      reservation.release();
      throw error;
    }
    reservation.commit();
    caches.noteWrite();
    metadata.add(reservation.first);
    caches.l1.set(index, Math.floor(offset / 0x1_0000_0000) | copiedFlag, offset % 0x1_0000_0000);
    if (old !== 0) {
      allocator.frees.add({ cluster: old / layout.clusterSize, use: "table", discard: false });
    }
    return offset;
  }

  /** A shared table's contents; none of its clusters belongs to one table alone any more. */
  *#copy(offset: number): Io<Uint8Array> {
    const { layout, storage } = this.#parts;
    const bytes = new Uint8Array(layout.clusterSize);
    yield* readStorage(storage, IoVector.from(bytes), offset);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += layout.entryLength) {
      const high = view.getUint32(at);
      if ((high & compressedFlag) === 0 && !layout.externalDataFile) {
        view.setUint32(at, high & ~copiedFlag);
      }
    }
    return bytes;
  }
}
