import type { IoVector } from "@img/io-vector";
import type { MaybePromise } from "../io/io.ts";
import { StorageDecorator } from "./storage-decorator.ts";
import type { Extent, Storage, StoragePreallocation, WriteZeroesOptions } from "./storage.ts";

/** One call of a storage's method, named as in `Storage` in both worlds; `close` is a disposal. */
export type StorageCall =
  | { readonly method: "read" | "write"; readonly vector: IoVector; readonly offset: number; readonly length: number }
  | {
      readonly method: "writeZeroes";
      readonly offset: number;
      readonly length: number;
      readonly options: WriteZeroesOptions | undefined;
    }
  | { readonly method: "discard" | "extents"; readonly offset: number; readonly length: number }
  | { readonly method: "resize"; readonly size: number; readonly preallocation: StoragePreallocation | undefined }
  | { readonly method: "allocatedSize" | "flush" | "sync" | "invalidate" | "close" };

/**
 * A {@link StorageDecorator} whose every call goes through one place: override {@link intercept} (and {@link interceptSync} for the
 * synchronous facet) to count, record, delay, fail or change calls.
 */
export class InterceptingStorage<S extends Storage = Storage> extends StorageDecorator<S> {
  /**
   * Stands around every asynchronous call.
   * @param call - what was asked
   * @param proceed - asks the inner storage; may be called once, later, several times or not at all
   */
  protected intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    return proceed();
  }

  /** {@link intercept} for calls of the synchronous facet. */
  protected interceptSync<T>(_call: StorageCall, proceed: () => T): T {
    return proceed();
  }

  override read(into: IoVector, offset: number): MaybePromise<void> {
    return this.intercept({ method: "read", vector: into, offset, length: into.length }, () =>
      super.read(into, offset),
    );
  }

  override write(from: IoVector, offset: number): MaybePromise<void> {
    return this.intercept({ method: "write", vector: from, offset, length: from.length }, () =>
      super.write(from, offset),
    );
  }

  override writeZeroes?(offset: number, length: number, options?: WriteZeroesOptions): MaybePromise<void> {
    return this.intercept({ method: "writeZeroes", offset, length, options }, () =>
      super.writeZeroes?.(offset, length, options),
    );
  }

  override discard?(offset: number, length: number): MaybePromise<void> {
    return this.intercept({ method: "discard", offset, length }, () => super.discard?.(offset, length));
  }

  override extents?(offset: number, length: number): MaybePromise<readonly Extent[]> {
    return this.intercept({ method: "extents", offset, length }, () => super.extents?.(offset, length) ?? []);
  }

  override allocatedSize?(): MaybePromise<number> {
    return this.intercept({ method: "allocatedSize" }, () => super.allocatedSize?.() ?? 0);
  }

  override resize?(size: number, preallocation?: StoragePreallocation): MaybePromise<void> {
    return this.intercept({ method: "resize", size, preallocation }, () => super.resize?.(size, preallocation));
  }

  override flush(): MaybePromise<void> {
    return this.intercept({ method: "flush" }, () => super.flush());
  }

  override sync(): MaybePromise<void> {
    return this.intercept({ method: "sync" }, () => super.sync());
  }

  override invalidate?(): MaybePromise<void> {
    return this.intercept({ method: "invalidate" }, () => super.invalidate?.());
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.intercept({ method: "close" }, async () => super[Symbol.asyncDispose]());
  }

  override readSync?(into: IoVector, offset: number): void {
    this.interceptSync({ method: "read", vector: into, offset, length: into.length }, () =>
      super.readSync?.(into, offset),
    );
  }

  override writeSync?(from: IoVector, offset: number): void {
    this.interceptSync({ method: "write", vector: from, offset, length: from.length }, () =>
      super.writeSync?.(from, offset),
    );
  }

  override writeZeroesSync?(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.interceptSync({ method: "writeZeroes", offset, length, options }, () =>
      super.writeZeroesSync?.(offset, length, options),
    );
  }

  override discardSync?(offset: number, length: number): void {
    this.interceptSync({ method: "discard", offset, length }, () => super.discardSync?.(offset, length));
  }

  override extentsSync?(offset: number, length: number): readonly Extent[] {
    return this.interceptSync({ method: "extents", offset, length }, () => super.extentsSync?.(offset, length) ?? []);
  }

  override allocatedSizeSync?(): number {
    return this.interceptSync({ method: "allocatedSize" }, () => super.allocatedSizeSync?.() ?? 0);
  }

  override resizeSync?(size: number, preallocation?: StoragePreallocation): void {
    this.interceptSync({ method: "resize", size, preallocation }, () => super.resizeSync?.(size, preallocation));
  }

  override flushSync?(): void {
    this.interceptSync({ method: "flush" }, () => super.flushSync?.());
  }

  override syncSync?(): void {
    this.interceptSync({ method: "sync" }, () => super.syncSync?.());
  }

  override invalidateSync?(): void {
    this.interceptSync({ method: "invalidate" }, () => super.invalidateSync?.());
  }

  override [Symbol.dispose]?(): void {
    this.interceptSync({ method: "close" }, () => super[Symbol.dispose]?.());
  }
}
