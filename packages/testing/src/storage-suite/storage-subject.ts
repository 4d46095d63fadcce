import assert from "node:assert/strict";
import {
  isImgError,
  isPromise,
  perform,
  type Extent,
  type Io,
  type MaybePromise,
  type Storage,
  type StoragePreallocation,
  type SyncStorage,
  type WriteZeroesOptions,
} from "@img/format-core";
import { assertBytes } from "../assert/assert-bytes.ts";
import { ModelDisk } from "../model/model-disk.ts";
import type { SeededRandom } from "../random/seeded-random.ts";
import type { AlignedPool } from "../suite/aligned-pool.ts";
import { GuardedBuffers } from "../suite/guarded-buffers.ts";
import type { World } from "../suite/world.ts";
import type { Grains } from "./grains.ts";
import type { Ability, StorageManifest } from "./storage-manifest.ts";

/** What a {@link StorageSubject} is made of. */
export interface StorageSubjectOptions {
  readonly storage: Storage;
  readonly another: Storage | undefined;
  readonly contents: Uint8Array;
  readonly manifest: StorageManifest;
  readonly grains: Grains;
  readonly world: World;
  readonly random: SeededRandom;
  readonly pool: AlignedPool;
}

/**
 * A storage under test, beside a model of what it must hold. Every call goes straight to the storage, in the case's world, with
 * guarded buffers, and changes the model alike once it has succeeded.
 */
export class StorageSubject {
  storage: Storage;
  /** A second storage that was made like the first one, for cases that ask for it. */
  readonly another: Storage | undefined;
  /** {@link another} beside a model of its own, for cases that change it. */
  readonly source: StorageSubject | undefined;
  readonly model: ModelDisk;
  readonly manifest: StorageManifest;
  readonly grains: Grains;
  readonly world: World;
  readonly random: SeededRandom;
  readonly #pool: AlignedPool;
  isClosed = false;
  /** Sizes that the storage may have instead of the model's: where `writeZeroes` ended past the end. */
  readonly #maySize = new Set<number>();

  constructor(options: StorageSubjectOptions) {
    this.storage = options.storage;
    const { another } = options;
    this.another = another;
    this.source = another && new StorageSubject({ ...options, storage: another, another: undefined });
    this.manifest = options.manifest;
    this.grains = options.grains;
    this.world = options.world;
    this.random = options.random;
    this.#pool = options.pool;
    this.model = new ModelDisk(options.contents);
  }

  /** Calls the storage in the case's world. */
  call<T>(asynchronous: (storage: Storage) => MaybePromise<T>, synchronous: (storage: SyncStorage) => T): Io<T> {
    return perform<T>({
      label: this.storage.label,
      async: () => asynchronous(this.storage),
      sync: () => {
        // the manifest says that it has the facet; where it doesn't, the case fails
        const answer = synchronous(this.storage as SyncStorage);
        assert.ok(!isPromise(answer), "a synchronous method answered with a promise");
        return answer;
      },
    });
  }

  /** Reads `length` bytes into `pieces` buffers. */
  *read(offset: number, length: number, pieces = 1): Io<Uint8Array> {
    const buffers = this.#buffers(length, pieces);
    yield* this.call(
      (storage) => storage.read(buffers.vector, offset),
      (storage) => storage.readSync(buffers.vector, offset),
    );
    buffers.checkGuards("read");
    const bytes = buffers.vector.toUint8Array();
    buffers.release();
    return bytes;
  }

  /** Reads, and then overwrites the buffer that was read into: whoever gave away its own memory has the wrong bytes then. */
  *scribbleOverRead(offset: number, length: number): Io<void> {
    const buffers = this.#buffers(length);
    yield* this.call(
      (storage) => storage.read(buffers.vector, offset),
      (storage) => storage.readSync(buffers.vector, offset),
    );
    buffers.vector.fill(0x3c);
    buffers.release();
  }

  /** Writes `bytes` from `pieces` buffers, which are overwritten afterwards: whoever kept them has the wrong bytes then. */
  *write(bytes: Uint8Array, offset: number, pieces = 1): Io<void> {
    yield* this.writeUnseen(bytes, offset, pieces);
    this.model.write(bytes, offset);
  }

  /** {@link write} that the model isn't told of. */
  *writeUnseen(bytes: Uint8Array, offset: number, pieces = 1): Io<void> {
    const buffers = this.#buffers(bytes.length, pieces);
    buffers.vector.copyFromSlice(bytes);
    yield* this.call(
      (storage) => storage.write(buffers.vector, offset),
      (storage) => storage.writeSync(buffers.vector, offset),
    );
    buffers.checkGuards("write");
    assertBytes(buffers.vector.toUint8Array(), bytes, "what write was given");
    buffers.vector.fill(0x3c);
    buffers.release();
  }

  /** Zeroes a range; `false`: the storage can't. */
  *zero(offset: number, length: number, options?: WriteZeroesOptions): Io<boolean> {
    const done = yield* this.#attempt(this.manifest.zeroes, this.storage.writeZeroes !== undefined, () =>
      this.call(
        (storage) => storage.writeZeroes?.(offset, length, options),
        (storage) => storage.writeZeroesSync?.(offset, length, options),
      ),
    );
    if (done) {
      this.model.zero(offset, length);
      if (length > 0 && offset + length > this.model.size) {
        this.#maySize.add(offset + length);
      }
    }
    return done;
  }

  /** Discards a range; `false`: the storage can't. */
  *discard(offset: number, length: number): Io<boolean> {
    const done = yield* this.#attempt(this.manifest.discards, this.storage.discard !== undefined, () =>
      this.call(
        (storage) => storage.discard?.(offset, length),
        (storage) => storage.discardSync?.(offset, length),
      ),
    );
    if (done) {
      this.model.discardToAny(offset, length);
    }
    return done;
  }

  /** One answer of `extents`; `undefined`: the storage can't. Asserts that it is well-formed. */
  *extents(offset: number, length: number): Io<readonly Extent[] | undefined> {
    let answer: readonly Extent[] = [];
    const done = yield* this.#attempt(this.manifest.extents, this.storage.extents !== undefined, () =>
      this.#askExtents(offset, length, (extents) => (answer = extents)),
    );
    if (!done) {
      return undefined;
    }
    let at = offset;
    for (const extent of answer) {
      assert.ok(["data", "hole"].includes(extent.kind), `an extent's kind is ${extent.kind}`);
      assert.equal(extent.offset, at, "an extent doesn't begin where the one before ends, or where was asked");
      assert.ok(Number.isSafeInteger(extent.length) && extent.length >= 1, "an extent has no bytes");
      at += extent.length;
    }
    assert.ok(at <= offset + length, "extents end past what was asked for");
    return answer;
  }

  *#askExtents(offset: number, length: number, keep: (extents: readonly Extent[]) => void): Io<void> {
    keep(
      yield* this.call<readonly Extent[]>(
        (storage) => storage.extents?.(offset, length) ?? [],
        (storage) => storage.extentsSync?.(offset, length) ?? [],
      ),
    );
  }

  /** Sets the size. */
  *resize(size: number, preallocation?: StoragePreallocation): Io<void> {
    const before = this.storage.size;
    yield* this.call(
      (storage) => storage.resize?.(size, preallocation),
      (storage) => storage.resizeSync?.(size, preallocation),
    );
    this.model.resize(before);
    this.model.resize(size, preallocation === undefined || preallocation === "none");
    this.#maySize.clear();
  }

  flush(): Io<void> {
    return this.call(
      (storage) => storage.flush(),
      (storage) => storage.flushSync(),
    );
  }

  sync(): Io<void> {
    return this.call(
      (storage) => storage.sync(),
      (storage) => storage.syncSync(),
    );
  }

  /** Closes the storage; may be asked for several times. */
  *close(): Io<void> {
    this.isClosed = true;
    yield* this.call(
      async (storage) => {
        await storage[Symbol.asyncDispose]();
      },
      (storage) => {
        storage[Symbol.dispose]();
      },
    );
  }

  /** Asserts the size, and the bytes of a range (default: everything, and what lies behind the end). */
  *check(offset = 0, length?: number): Io<void> {
    this.checkSize();
    const all = this.model.size - offset + 3 * this.grains.request;
    // from a multiple of the request limit on, whatever the size is
    const asked = length ?? all - (all % this.grains.request);
    this.checkBytes(yield* this.read(offset, asked), offset);
  }

  /** Asserts the size; one that `writeZeroes` was free to choose is adopted. */
  checkSize(): void {
    const { size } = this.storage;
    if (this.#maySize.has(size) && size > this.model.size) {
      this.model.resize(size);
    }
    this.model.checkSize(size, this.storage.label);
  }

  /** Asserts that a read from `offset` on may give these bytes. */
  checkBytes(actual: Uint8Array, offset: number): void {
    if (this.manifest.retains === false) {
      assertBytes(actual, new Uint8Array(actual.length), this.storage.label, offset);
    } else {
      this.model.check(actual, offset, this.storage.label);
    }
  }

  #buffers(length: number, pieces = 1): GuardedBuffers {
    return new GuardedBuffers(length, this.random, { pieces, limits: this.storage.limits, pool: this.#pool });
  }

  /** Whether it was done; refusing is right only where the manifest allows it. */
  *#attempt(ability: Ability | undefined, present: boolean, body: () => Io<unknown>): Io<boolean> {
    if (!present) {
      assert.notEqual(ability, true, "the method is missing");
      return false;
    }
    try {
      yield* body();
      return true;
    } catch (error) {
      if (ability === "maybe" && isImgError(error, "ERR_IMG_UNSUPPORTED")) {
        return false;
      }
      throw error;
    }
  }
}
