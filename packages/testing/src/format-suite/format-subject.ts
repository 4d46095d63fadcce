import assert from "node:assert/strict";
import { MemoryStorage, perform, type FormatAccess, type Io, type Preallocation, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes, assertBytesOfEither } from "../assert/assert-bytes.ts";
import { ModelDisk } from "../model/model-disk.ts";
import type { SeededRandom } from "../random/seeded-random.ts";
import { GuardedBuffers } from "../suite/guarded-buffers.ts";
import type { FormatFactory, FormatManifest } from "./format-manifest.ts";
import type { FormatVariant } from "./format-variant.ts";
import type { ImageMaker } from "./image-maker.ts";

/** What a {@link FormatSubject} is made of. */
export interface FormatSubjectOptions {
  readonly factory: FormatFactory;
  readonly manifest: FormatManifest;
  readonly maker: ImageMaker;
  readonly variant: FormatVariant;
  readonly random: SeededRandom;
  /** What the image's storages hold. */
  readonly files: readonly Uint8Array[];
  readonly disk: Uint8Array;
}

/** How {@link FormatSubject.open} opens an image. */
export interface SubjectOpenOptions {
  /** Default: as the manifest says. */
  readonly writable?: boolean;
  /** What the storages hold. Default: what they hold already, or the image that the case began with. */
  readonly files?: readonly Uint8Array[];
  /** Storages to use instead of new ones that hold {@link files}. */
  readonly memories?: readonly MemoryStorage[];
  /** Stands right around each storage, under the variant's decorations. */
  readonly layer?: (storage: MemoryStorage) => Storage;
}

/**
 * An image under test, beside a model of its disk. Every operation runs through `FormatAccess`, in the variant's world, with guarded
 * buffers, and changes the model alike once it has succeeded.
 */
export class FormatSubject {
  readonly factory: FormatFactory;
  readonly manifest: FormatManifest;
  readonly maker: ImageMaker;
  readonly variant: FormatVariant;
  readonly random: SeededRandom;
  /** What the image's storages held when the case began. */
  readonly files: readonly Uint8Array[];
  readonly blockSize: number;
  model: ModelDisk;
  /** Under all decorations: where the bytes are. */
  memories: readonly MemoryStorage[] = [];
  /** As the format got them. */
  storages: readonly Storage[] = [];
  #access: FormatAccess | undefined;

  constructor(options: FormatSubjectOptions) {
    this.factory = options.factory;
    this.manifest = options.manifest;
    this.maker = options.maker;
    this.variant = options.variant;
    this.random = options.random;
    this.files = options.files;
    this.blockSize = options.manifest.blockSize ?? 65536;
    this.model = new ModelDisk(options.disk);
  }

  /** The open image. */
  get access(): FormatAccess {
    assert.ok(this.#access !== undefined, "the image isn't open");
    return this.#access;
  }

  /** Makes new storages, and opens the image in them. */
  *open(options: SubjectOpenOptions = {}): Io<FormatAccess> {
    this.provide(options);
    this.#access = yield* this.maker.open(this.storages, options.writable ?? this.manifest.writable !== false);
    return this.#access;
  }

  /** Makes new storages without opening anything. */
  provide(options: SubjectOpenOptions = {}): void {
    const files = (): readonly Uint8Array[] =>
      options.files ?? (this.memories.length > 0 ? this.contents() : this.files);
    this.memories =
      options.memories ?? files().map((bytes, index) => new MemoryStorage(bytes, { label: `memory ${String(index)}` }));
    const { layer = (storage: MemoryStorage): Storage => storage } = options;
    this.storages = this.memories.map((memory) => this.variant.decorate(layer(memory), this.random));
  }

  /**
   * Sizes to resize to are multiples of it: a disk that ends inside of a storage's block may be longer when it is opened again, because blocks are
   * written as a whole.
   */
  get sizeUnit(): number {
    return Math.max(512, this.access.requestAlignment);
  }

  /** Uses an image that a case opened or created itself. */
  adopt(access: FormatAccess): void {
    this.#access = access;
  }

  /** What the storages hold at this moment: what a reader of the files would see. */
  contents(): readonly Uint8Array[] {
    return this.memories.map((memory) => memory.toUint8Array());
  }

  /** Closes the image, if it is open. */
  *close(): Io<void> {
    if (this.#access !== undefined) {
      yield* this.#access.io.close();
      yield* this.#closeBacking(this.#access);
    }
  }

  /** Backing images stay whoever's they are who opened them; here, that is the suite. */
  *#closeBacking(access: FormatAccess): Io<void> {
    const { backing } = access.driver;
    if (backing !== undefined && backing !== null) {
      yield* backing.io.close();
      yield* this.#closeBacking(backing);
    }
  }

  /** Closes the image and opens it again, from what its storages hold then. */
  *reopen(options: SubjectOpenOptions = {}): Io<void> {
    yield* this.close();
    yield* this.open(options);
  }

  /** Reads into `pieces` buffers; into one by the way that applications take. */
  *read(offset: number, length: number, pieces = 1): Io<Uint8Array> {
    const buffers = new GuardedBuffers(length, this.random, { pieces });
    const { singleBuffer } = buffers.vector;
    if (this.variant.world === "async" && singleBuffer !== undefined) {
      const { access } = this;
      yield* perform({ label: String(access), async: () => access.read(singleBuffer, offset) });
    } else {
      yield* this.access.io.read(buffers.vector, offset);
    }
    buffers.checkGuards("read");
    return buffers.vector.toUint8Array();
  }

  /** Writes from `pieces` buffers, which are overwritten afterwards. */
  *write(bytes: Uint8Array, offset: number, pieces = 1): Io<void> {
    yield* this.writeUnseen(bytes, offset, pieces);
    this.model.write(bytes, offset);
  }

  /** {@link write} that the model isn't told of. */
  *writeUnseen(bytes: Uint8Array, offset: number, pieces = 1): Io<void> {
    const buffers = new GuardedBuffers(bytes.length, this.random, { pieces });
    buffers.vector.copyFromSlice(bytes);
    yield* this.access.io.write(buffers.vector, offset);
    buffers.checkGuards("write");
    assertBytes(buffers.vector.toUint8Array(), bytes, "what write was given");
    buffers.vector.fill(0x3c);
  }

  *writeZeroes(offset: number, length: number): Io<void> {
    yield* this.access.io.writeZeroes(offset, length);
    this.model.zero(offset, length);
  }

  *discardToZero(offset: number, length: number): Io<void> {
    yield* this.access.io.discardToZero(offset, length);
    this.model.zero(offset, length);
  }

  *discardToAny(offset: number, length: number): Io<void> {
    yield* this.access.io.discardToAny(offset, length);
    this.model.discardToAny(offset, length);
  }

  /** Discards, and asserts that every byte is the old one or what lies below. */
  *discardToBacking(offset: number, length: number): Io<void> {
    const below = IoVector.single(new Uint8Array(length));
    const { backing } = this.access.driver;
    if (backing !== undefined && backing !== null) {
      yield* backing.io.read(below, offset);
    }
    yield* this.access.io.discardToBacking(offset, length);
    const found = yield* this.read(offset, length);
    const candidates = [below.toUint8Array(), this.model.read(offset, length)];
    assertBytesOfEither(found, candidates, "what was discarded to the backing image", offset);
    this.model.write(found, offset);
  }

  *resize(size: number, preallocation: Preallocation = "none"): Io<void> {
    yield* this.access.io.resize(size, preallocation);
    const { backing } = this.access.driver;
    // a longer backing image shows in what is gained
    this.model.resize(size, preallocation === "none" && backing !== undefined && backing !== null);
  }

  flush(): Io<void> {
    return this.access.io.flush();
  }

  sync(): Io<void> {
    return this.access.io.sync();
  }

  /** Asserts the size, and the bytes of a range (default: everything, and what lies behind the end). */
  *check(offset = 0, length: number = this.model.size - offset + 1000): Io<void> {
    this.model.checkSize(this.access.size, String(this.access));
    this.model.check(yield* this.read(offset, length), offset, String(this.access));
  }
}
