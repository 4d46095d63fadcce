import {
  alignDown,
  alignUp,
  closeStorage,
  flushStorage,
  guestOffset,
  hostOffset,
  ImgError,
  KeyedMutex,
  Mutex,
  readStorage,
  syncStorage,
  writeStorage,
  zeroStorage,
  type FormatDriver,
  type GuestOffset,
  type HandledRange,
  type HostOffset,
  type ImageDescription,
  type Io,
  type Preallocation,
  type PreparedWrite,
  type PrepareWriteOptions,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { HostBlocks } from "./host-blocks.ts";
import {
  dataOffset,
  headerLength,
  mapOffset,
  parseEntry,
  parseHeader,
  serializeHeader,
  setEntry,
  type BlocksHeader,
} from "./layout.ts";

/** Mistakes that it can be told to make, to see that the suite finds them. */
export type BlocksFlaw =
  | "links before data"
  | "takes freed blocks at once"
  | "forgets changes when writing fails"
  | "doesn't lock blocks"
  | "doesn't fill new blocks"
  | "swallows errors of flushing"
  | "keeps what is cut off"
  | "never writes its map"
  | "writes its map, but not its header";

/**
 * The smallest format that does everything: a header, a map of blocks, and the blocks. The map is kept in memory and written by `flush`.
 */
export class BlocksImage implements FormatDriver {
  readonly format = "blocks";
  readonly writable: boolean;
  readonly storages: readonly [Storage];
  readonly #storage: Storage;
  readonly #writing = new KeyedMutex<number>("block");
  readonly #flushing = new Mutex("the map");
  #header: BlocksHeader;
  #map: DataView;
  #hosts: HostBlocks;
  readonly #flaw: BlocksFlaw | undefined;
  #dirty = false;

  private constructor(
    storage: Storage,
    header: BlocksHeader,
    map: DataView,
    options: { readonly writable: boolean; readonly flaw?: BlocksFlaw | undefined },
  ) {
    this.#storage = storage;
    this.storages = [storage];
    this.writable = options.writable;
    this.#flaw = options.flaw;
    this.#header = header;
    this.#map = map;
    this.#hosts = hostsOf(header, map);
  }

  static *open(storage: Storage, writable: boolean, flaw?: BlocksFlaw): Io<BlocksImage> {
    const { header, map } = yield* load(storage);
    return new BlocksImage(storage, header, map, { writable, flaw });
  }

  get size(): number {
    return this.#header.size;
  }

  get zeroGranularity(): number {
    return this.#header.blockSize;
  }

  peekMapping(offset: GuestOffset): ShallowMapping {
    const { blockSize, size } = this.#header;
    if (offset >= size) {
      return { kind: "eof", length: 0 };
    }
    const block = Math.floor(offset / blockSize);
    const length = Math.min((block + 1) * blockSize, size) - offset;
    const { zero, host } = parseEntry(this.#map, block);
    if (host === undefined) {
      return { kind: "zero", length, explicit: zero && this.#map.getUint32(block * 4) !== 0 };
    }
    const place = { storage: this.#storage, offset: this.#place(host, offset % blockSize) };
    return zero
      ? { kind: "zero", length, explicit: true, reserved: place }
      : { kind: "raw", ...place, length, writable: this.writable };
  }

  *getMapping(offset: GuestOffset): Io<ShallowMapping> {
    return this.peekMapping(offset);
  }

  *prepareWrite(offset: GuestOffset, length: number, options: PrepareWriteOptions): Io<PreparedWrite> {
    const mapping = this.peekMapping(offset);
    const part = Math.min(length, mapping.length);
    if (mapping.kind === "raw") {
      return inPlace(mapping.storage, mapping.offset, part);
    }
    const block = Math.floor(offset / this.#header.blockSize);
    if (this.#flaw === "doesn't lock blocks") {
      return yield* this.#allocate(block, offset, part, options.overwrite);
    }
    yield* this.#writing.acquire(block);
    const now = this.peekMapping(offset);
    if (now.kind === "raw") {
      // somebody else allocated it while we waited
      this.#writing.release(block);
      return inPlace(now.storage, now.offset, part);
    }
    return yield* this.#allocate(block, offset, part, options.overwrite);
  }

  /** Takes a host block and fills it with zeroes, except where the caller is going to write. */
  *#allocate(block: number, offset: GuestOffset, length: number, overwrite: boolean): Io<PreparedWrite> {
    const { blockSize } = this.#header;
    const reserved = parseEntry(this.#map, block).host;
    const host = reserved ?? this.#hosts.take();
    const inside = offset % blockSize;
    const abort = (): void => {
      if (reserved === undefined) {
        this.#hosts.putBack(host);
      }
      this.#release(block);
    };
    try {
      const start = overwrite ? inside : 0;
      const end = overwrite ? inside + length : 0;
      if (this.#flaw !== "doesn't fill new blocks") {
        yield* zeroStorage(this.#storage, this.#place(host, 0), start);
        yield* zeroStorage(this.#storage, this.#place(host, end), blockSize - end);
      }
    } catch (error) {
      abort();
      throw error;
    }
    const commit = (): void => {
      this.#link(block, { zero: false, host });
      this.#release(block);
    };
    return { storage: this.#storage, offset: this.#place(host, inside), length, commit, abort };
  }

  *ensureZeroMapping(offset: GuestOffset, length: number): Io<HandledRange> {
    const { first, stop, handled } = this.#blocksInside(offset, length);
    for (let block = first; block < stop; block++) {
      this.#link(block, { zero: true, host: parseEntry(this.#map, block).host });
    }
    return handled;
  }

  *discardToZero(offset: GuestOffset, length: number): Io<HandledRange> {
    const { first, stop, handled } = this.#blocksInside(offset, length);
    for (let block = first; block < stop; block++) {
      this.#unlink(block);
    }
    return handled;
  }

  discardToAny(offset: GuestOffset, length: number): Io<HandledRange> {
    return this.discardToZero(offset, length);
  }

  *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
    if (preallocation !== "none" && preallocation !== "zero") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `can't preallocate ${preallocation}`);
    }
    const most = this.#header.entries * this.#header.blockSize;
    if (size > most) {
      throw new ImgError("ERR_IMG_LIMIT", `size ${String(size)}: expected at most ${String(most)}`);
    }
    this.#setSize(size);
  }

  *resizeShrink(size: number): Io<void> {
    const { blockSize, entries } = this.#header;
    const last = this.peekMapping(guestOffset(size));
    if (size % blockSize !== 0 && last.kind === "raw" && this.#flaw !== "keeps what is cut off") {
      // what is cut off must not come back when the disk grows again
      yield* zeroStorage(this.#storage, last.offset, blockSize - (size % blockSize));
    }
    for (let block = Math.ceil(size / blockSize); block < entries; block++) {
      this.#unlink(block);
    }
    this.#setSize(size);
  }

  *flush(): Io<void> {
    yield* this.#flushing.run(() => this.#flush());
  }

  *#flush(): Io<void> {
    if (this.#dirty && this.#flaw !== "never writes its map") {
      const header = serializeHeader(this.#header);
      const map = new Uint8Array(this.#map.buffer.slice(0));
      const written = this.#hosts.beginWrite();
      this.#dirty = false;
      try {
        // data before links
        if (this.#flaw !== "links before data") {
          yield* syncStorage(this.#storage);
        }
        yield* writeStorage(this.#storage, IoVector.single(map), mapOffset);
        if (this.#flaw !== "writes its map, but not its header") {
          yield* writeStorage(this.#storage, IoVector.single(header), 0);
        }
      } catch (error) {
        this.#dirty = this.#flaw !== "forgets changes when writing fails";
        if (this.#flaw !== "swallows errors of flushing") {
          throw error;
        }
      }
      written();
    }
    yield* flushStorage(this.#storage);
  }

  *sync(): Io<void> {
    const synced = this.#hosts.beginSync();
    yield* syncStorage(this.#storage);
    synced();
  }

  *invalidateCache({ discardDirty }: { readonly discardDirty: boolean }): Io<void> {
    if (this.#dirty && !discardDirty) {
      throw new ImgError("ERR_IMG_BUSY", "there are unwritten changes");
    }
    const { header, map } = yield* load(this.#storage);
    this.#header = header;
    this.#map = map;
    this.#hosts = hostsOf(header, map);
    this.#dirty = false;
  }

  *close(): Io<void> {
    yield* closeStorage(this.#storage);
  }

  describe(): ImageDescription {
    return { format: this.format, virtualSize: this.size, clusterSize: this.#header.blockSize };
  }

  toString(): string {
    return `blocks[${this.#storage.label}]`;
  }

  #place(host: number, inside: number): HostOffset {
    return hostOffset(dataOffset(this.#header.entries) + host * this.#header.blockSize + inside);
  }

  #link(block: number, entry: Parameters<typeof setEntry>[2]): void {
    setEntry(this.#map, block, entry);
    this.#dirty = true;
  }

  #unlink(block: number): void {
    const { host } = parseEntry(this.#map, block);
    if (host !== undefined && this.#flaw === "takes freed blocks at once") {
      this.#hosts.putBack(host);
    } else if (host !== undefined) {
      this.#hosts.unlink(host);
    }
    this.#link(block, undefined);
  }

  #release(block: number): void {
    if (this.#flaw !== "doesn't lock blocks") {
      this.#writing.release(block);
    }
  }

  #setSize(size: number): void {
    this.#header = { ...this.#header, size };
    this.#dirty = true;
  }

  /** The whole blocks of a range; the last one of the disk is whole when the range reaches the end. */
  #blocksInside(offset: GuestOffset, length: number): { first: number; stop: number; handled: HandledRange } {
    const { blockSize, size } = this.#header;
    const start = alignUp(offset, blockSize);
    const end = offset + length;
    const stop = end === size ? size : alignDown(end, blockSize);
    const handled = { offset: guestOffset(start), length: Math.max(0, stop - start) };
    return { first: start / blockSize, stop: handled.length === 0 ? 0 : Math.ceil(stop / blockSize), handled };
  }
}

function inPlace(storage: Storage, offset: HostOffset, length: number): PreparedWrite {
  const nothing = (): void => undefined;
  return { storage, offset, length, commit: nothing, abort: nothing };
}

function* load(storage: Storage): Io<{ header: BlocksHeader; map: DataView }> {
  const sector = new Uint8Array(headerLength);
  yield* readStorage(storage, IoVector.single(sector), 0);
  const header = parseHeader(sector);
  const map = new Uint8Array(header.entries * 4);
  yield* readStorage(storage, IoVector.single(map), mapOffset);
  return { header, map: new DataView(map.buffer) };
}

function hostsOf(header: BlocksHeader, map: DataView): HostBlocks {
  const used = new Set<number>();
  for (let block = 0; block < header.entries; block++) {
    const { host } = parseEntry(map, block);
    if (host !== undefined && host >= header.entries * 2) {
      throw new ImgError("ERR_IMG_CORRUPT", `block ${String(block)} lies in host block ${String(host)}`);
    }
    if (host !== undefined) {
      used.add(host);
    }
  }
  return new HostBlocks(used);
}
