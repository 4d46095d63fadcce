import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import type { MaybePromise } from "../io/io.ts";
import type { Extent, Storage, StorageLimits, StoragePreallocation, WriteZeroesOptions } from "./storage.ts";
import { isSyncStorage, type SyncStorage } from "./sync-storage.ts";

/** What a storage may lack; {@link StorageDecorator} then lacks it too. */
const optionalMembers = [
  "writeZeroes",
  "discard",
  "extents",
  "allocatedSize",
  "resize",
  "invalidate",
  "resolve",
] as const satisfies readonly (keyof Storage)[];

/** The synchronous facet, which is there only as a whole, but for what may be absent from it. */
const syncMembers = [
  "readSync",
  "writeSync",
  "writeZeroesSync",
  "discardSync",
  "extentsSync",
  "allocatedSizeSync",
  "resizeSync",
  "flushSync",
  "syncSync",
  "invalidateSync",
  Symbol.dispose,
] as const satisfies readonly (keyof SyncStorage)[];

/**
 * A storage that hands everything on to another one: the base for storages that watch, tag, limit or disturb. Override what should differ
 * and call `super` for the rest.
 *
 * It can exactly what the inner storage can. An optional method that the inner one lacks, the synchronous facet included, is `undefined`
 * here, even where a subclass overrides it; so a subclass can override all of them without claiming anything. Only `copyFrom` isn't handed on: bytes
 * would go past whoever watches or changes them.
 *
 * Writes through a decorator and through the inner storage at the same time exclude each other as two through one of them do,
 * if both have the same limits. Closing the decorator closes the inner storage.
 */
export class StorageDecorator<S extends Storage = Storage> implements Storage {
  /** The decorated storage. */
  readonly inner: S;
  readonly #sync: SyncStorage | undefined;

  constructor(inner: S) {
    this.inner = inner;
    this.#sync = isSyncStorage(inner) ? inner : undefined;
    for (const name of optionalMembers) {
      this.#hideUnless(inner[name] !== undefined, name);
    }
    for (const name of syncMembers) {
      this.#hideUnless(this.#sync?.[name] !== undefined, name);
    }
  }

  #hideUnless(able: boolean, name: string | symbol): void {
    if (!able) {
      Object.defineProperty(this, name, { value: undefined });
    }
  }

  get label(): string {
    return this.inner.label;
  }

  get size(): number {
    return this.inner.size;
  }

  get writable(): boolean {
    return this.inner.writable;
  }

  get limits(): StorageLimits {
    return this.inner.limits;
  }

  get identity(): string | undefined {
    return this.inner.identity;
  }

  get location(): string | undefined {
    return this.inner.location;
  }

  read(into: IoVector, offset: number): MaybePromise<void> {
    return this.inner.read(into, offset);
  }

  write(from: IoVector, offset: number): MaybePromise<void> {
    return this.inner.write(from, offset);
  }

  writeZeroes?(offset: number, length: number, options?: WriteZeroesOptions): MaybePromise<void> {
    return this.inner.writeZeroes?.(offset, length, options);
  }

  discard?(offset: number, length: number): MaybePromise<void> {
    return this.inner.discard?.(offset, length);
  }

  extents?(offset: number, length: number): MaybePromise<readonly Extent[]> {
    return this.inner.extents?.(offset, length) ?? [];
  }

  allocatedSize?(): MaybePromise<number> {
    return this.inner.allocatedSize?.() ?? lacks(this.inner, "allocatedSize");
  }

  resize?(size: number, preallocation?: StoragePreallocation): MaybePromise<void> {
    return this.inner.resize?.(size, preallocation);
  }

  flush(): MaybePromise<void> {
    return this.inner.flush();
  }

  sync(): MaybePromise<void> {
    return this.inner.sync();
  }

  invalidate?(): MaybePromise<void> {
    return this.inner.invalidate?.();
  }

  resolve?(relative: string): string {
    return this.inner.resolve?.(relative) ?? lacks(this.inner, "resolve");
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.inner[Symbol.asyncDispose]();
  }

  readSync?(into: IoVector, offset: number): void {
    this.#facet().readSync(into, offset);
  }

  writeSync?(from: IoVector, offset: number): void {
    this.#facet().writeSync(from, offset);
  }

  writeZeroesSync?(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.#facet().writeZeroesSync?.(offset, length, options);
  }

  discardSync?(offset: number, length: number): void {
    this.#facet().discardSync?.(offset, length);
  }

  extentsSync?(offset: number, length: number): readonly Extent[] {
    return this.#facet().extentsSync?.(offset, length) ?? [];
  }

  allocatedSizeSync?(): number {
    return this.#facet().allocatedSizeSync?.() ?? lacks(this.inner, "allocatedSizeSync");
  }

  resizeSync?(size: number, preallocation?: StoragePreallocation): void {
    this.#facet().resizeSync?.(size, preallocation);
  }

  flushSync?(): void {
    this.#facet().flushSync();
  }

  syncSync?(): void {
    this.#facet().syncSync();
  }

  invalidateSync?(): void {
    this.#facet().invalidateSync?.();
  }

  [Symbol.dispose]?(): void {
    this.#facet()[Symbol.dispose]();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  #facet(): SyncStorage {
    return this.#sync ?? lacks(this.inner, "readSync");
  }
}

/** Only reached by calling a method that this object doesn't show. */
function lacks(storage: Storage, member: string): never {
  throw new ImgError("ERR_IMG_UNSUPPORTED", `${storage.label} has no ${member}`, { subject: storage.label });
}
