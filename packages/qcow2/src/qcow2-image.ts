import type { IoVector } from "@img/io-vector";
import {
  closeStorage,
  flushStorage,
  hex,
  ImgError,
  invalidateStorage,
  storageAllocatedSize,
  syncStorage,
  type FormatAccess,
  type FormatDriver,
  type GuestOffset,
  type ImageDescription,
  type Io,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import { describeImage } from "./describe-image.ts";
import type { HeaderExtension } from "./header/extensions.ts";
import type { Qcow2Header } from "./header/header.ts";
import { loadHeader } from "./header/load-header.ts";
import type { ClusterMapping } from "./mapping/cluster-mapping.ts";
import type { Qcow2Info } from "./qcow2-info.ts";
import { ImageTables, type ImageTablesParts } from "./image-tables.ts";
import { checkSameImage } from "./open/check-same-image.ts";
import { compressedCluster, compressedFlag } from "./tables/l2-entry.ts";
import { loadInfo } from "./open/load-info.ts";

/** What `qcow2.open` makes an image of. */
export interface Qcow2ImageParts extends Omit<ImageTablesParts, "header"> {
  readonly storage: Storage;
  readonly dataFile: Storage | null;
  readonly backing: FormatAccess | null;
  /** Whether {@link backing} was opened by the image itself, which then closes it. */
  readonly ownsBacking: boolean;
  readonly header: Qcow2Header;
  readonly extensions: readonly HeaderExtension[];
  readonly info: Qcow2Info;
  readonly inspect: boolean;
}

/** An open qcow2 image. Get one from `qcow2.open`; read and write its disk through the `FormatAccess` around it. */
export class Qcow2Image implements FormatDriver {
  readonly format = "qcow2";
  readonly writable = false;
  readonly storages: readonly Storage[];
  readonly backing: FormatAccess | null;
  /** All header extensions, unknown ones included, in the order in which they stand. */
  readonly extensions: readonly HeaderExtension[];
  readonly #parts: Qcow2ImageParts;
  #header: Qcow2Header;
  #info: Qcow2Info;
  #tables: ImageTables;
  #sparse: boolean | undefined;

  constructor(parts: Qcow2ImageParts) {
    this.#parts = parts;
    this.#header = parts.header;
    this.#info = parts.info;
    this.backing = parts.backing;
    this.extensions = parts.extensions;
    this.storages = parts.dataFile === null ? [parts.storage] : [parts.storage, parts.dataFile];
    this.#tables = new ImageTables(parts);
  }

  /** The header as it stands in the image. */
  get header(): Qcow2Header {
    return this.#header;
  }

  /** What the header and the tables that belong to it say. */
  get info(): Qcow2Info {
    return this.#info;
  }

  /** The tables, for tools that show or check them. */
  get tables(): ImageTables {
    return this.#tables;
  }

  get size(): number {
    return this.#tables.size;
  }

  /** Whether guest data is in another file. */
  requiresExternalDataFile(): boolean {
    return this.#info.externalDataFile;
  }

  /** The external data file's name as the header has it. */
  implicitExternalDataFile(): string | undefined {
    return this.#info.dataFile;
  }

  /** The backing image's name as the header has it. */
  implicitBackingFile(): string | undefined {
    return this.#info.backingFile;
  }

  /** The backing image's format as the header has it. */
  implicitBackingFormat(): string | undefined {
    return this.#info.backingFormat;
  }

  /** Whether no part of an L2 table is kept in memory. */
  get l2CacheIsEmpty(): boolean {
    return this.#tables.l2.isEmpty;
  }

  /** Whether no part of a refcount block is kept in memory. */
  get refcountBlockCacheIsEmpty(): boolean {
    return this.#tables.refcounts.isEmpty;
  }

  peekMapping(offset: GuestOffset, maxLength: number): ShallowMapping | undefined {
    return this.#parts.inspect ? undefined : this.#tables.map.peek(offset, maxLength);
  }

  *getMapping(offset: GuestOffset, maxLength: number): Io<ShallowMapping> {
    this.#checkReadable();
    return yield* this.#tables.map.get(offset, maxLength);
  }

  /** What the tables say about the one cluster (or part of it, with subclusters) at `offset`. */
  *getClusterMapping(offset: GuestOffset): Io<ClusterMapping> {
    this.#checkReadable();
    return yield* this.#tables.clusterMapping(offset);
  }

  *readSpecial(into: IoVector, offset: GuestOffset): Io<void> {
    this.#checkReadable();
    const { clusterSize } = this.#info;
    for (let done = 0; done < into.length;) {
      const at = offset + done;
      const within = at % clusterSize;
      const part = into.slice(done, done + Math.min(clusterSize - within, into.length - done));
      const entry = yield* this.#tables.map.entry(at);
      if (entry === undefined || (entry.high & compressedFlag) === 0) {
        throw new ImgError("ERR_IMG_CORRUPT", `guest offset ${hex(at)}: no compressed cluster`);
      }
      const place = compressedCluster(entry.high, entry.low, this.#header.clusterBits);
      yield* this.#tables.decompressed.read(place, within, part);
      done += part.length;
    }
  }

  /** As QEMU decides it: when far more clusters have a refcount than the host has allocated, data may lie over holes. */
  *hasSparseData(): Io<boolean> {
    this.#sparse ??= yield* this.#detectPreallocation();
    return this.#sparse;
  }

  *#detectPreallocation(): Io<boolean> {
    const { storage } = this.#parts;
    const allocated = yield* storageAllocatedSize(storage);
    if (allocated === undefined) {
      return false;
    }
    const { clusterSize } = this.#info;
    const real = Math.floor(allocated / clusterSize);
    const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
    const used = yield* this.#tables.refcounts.countUsed(Math.ceil(storage.size / clusterSize), threshold);
    return used >= threshold;
  }

  describe(): ImageDescription {
    return describeImage(this.#info);
  }

  *flush(): Io<void> {
    for (const storage of this.storages) {
      if (storage.writable) {
        yield* flushStorage(storage);
      }
    }
  }

  *sync(): Io<void> {
    for (const storage of this.storages) {
      if (storage.writable) {
        yield* syncStorage(storage);
      }
    }
  }

  /** Forgets everything that was kept in memory for speed. */
  shrinkCaches(): void {
    this.#tables.clear();
  }

  *invalidateCache(): Io<void> {
    this.#tables.clear();
    for (const storage of this.storages) {
      yield* invalidateStorage(storage);
    }
    const loaded = yield* loadHeader(this.#parts.storage);
    checkSameImage(this.#header, loaded.header);
    this.#info = yield* loadInfo(this.#parts.storage, loaded);
    this.#header = loaded.header;
    this.#tables = new ImageTables({ ...this.#parts, header: loaded.header });
    this.#sparse = undefined;
  }

  *close(): Io<void> {
    this.#tables.clear();
    const { backing, ownsBacking } = this.#parts;
    const closing = this.storages.map((storage) => closeStorage(storage));
    if (ownsBacking && backing !== null) {
      closing.push(backing.io.close());
    }
    let failure: unknown;
    for (const each of closing) {
      try {
        yield* each;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) {
      throw failure as Error;
    }
  }

  toString(): string {
    return `qcow2[${this.#parts.storage.label}]`;
  }

  #checkReadable(): void {
    if (this.#parts.inspect) {
      throw new ImgError("ERR_IMG_DENIED", `${this.toString()} was opened to be described, not to be read`);
    }
  }
}
