import { AlignedBuffer, hex, wrapHostError, type MaybePromise, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { mirroredMethods, type BridgeCall, type StorageFacts } from "./bridge-call.ts";
import type { Slots } from "./slots.ts";

/** A call that is about a storage that is open. */
export type HostedCall = Extract<BridgeCall, { readonly storage: number }>;

/** A storage in the worker, and how to call it with what came from outside. */
export class HostedStorage {
  readonly storage: Storage;
  readonly #slots: Slots;
  /** Buffers instead of slots, for what can't have shared memory. */
  readonly #own = new Map<number, Uint8Array>();
  #takesShared: boolean;

  constructor(storage: Storage, slots: Slots) {
    this.storage = storage;
    this.#slots = slots;
    // nothing promises where shared memory starts
    this.#takesShared = storage.limits.memory <= 8;
  }

  /** What the other side has to know. Requests of both sides are alike, so each respects every limit. */
  facts(id: number): StorageFacts {
    const { storage } = this;
    const { label, size, writable, identity, location } = storage;
    const request = Math.max(storage.limits.request, storage.limits.memory);
    const zero = Math.max(storage.limits.zero, request);
    const discard = Math.max(storage.limits.discard, request);
    const methods = mirroredMethods.filter((name) => typeof storage[name] === "function");
    const limits = { request, memory: 1, zero, discard };
    return { id, label, size, writable, limits, identity, location, methods };
  }

  /** @throws ImgError what the storage throws; the host's errors say what was being done */
  async perform(call: HostedCall): Promise<unknown> {
    try {
      return await this.#perform(call);
    } catch (error) {
      const { label } = this.storage;
      throw wrapHostError(error, `${label}: cannot ${describe(call)}`, label);
    }
  }

  #perform(call: HostedCall): MaybePromise<unknown> {
    const { storage } = this;
    switch (call.method) {
      case "read":
        return this.#read(call.slot, call.length, call.offset);
      case "write":
        return this.#write(call.slot, call.length, call.offset);
      case "writeZeroes":
        return storage.writeZeroes?.(call.offset, call.length, call.options);
      case "discard":
        return storage.discard?.(call.offset, call.length);
      case "extents":
        return storage.extents?.(call.offset, call.length);
      case "resize":
        return storage.resize?.(call.size, call.preallocation);
      case "resolve":
        return storage.resolve?.(call.relative);
      case "close":
        return storage[Symbol.asyncDispose]();
      case "allocatedSize":
      case "flush":
      case "sync":
      case "invalidate":
        return storage[call.method]?.();
    }
  }

  async #read(slot: number, length: number, offset: number): Promise<void> {
    const shared = this.#slots.view(slot, length);
    const done = await this.#shared(() => this.storage.read(IoVector.single(shared), offset));
    if (!done) {
      const own = this.#ownBuffer(slot).subarray(0, length);
      await this.storage.read(IoVector.single(own), offset);
      shared.set(own);
    }
  }

  async #write(slot: number, length: number, offset: number): Promise<void> {
    const shared = this.#slots.view(slot, length);
    const done = await this.#shared(() => this.storage.write(IoVector.single(shared), offset));
    if (!done) {
      const own = this.#ownBuffer(slot).subarray(0, length);
      own.set(shared);
      await this.storage.write(IoVector.single(own), offset);
    }
  }

  /**
   * Tries it with shared memory; `false`: it has to be done with memory of our own. Interfaces that refuse shared memory do so by a `TypeError`,
   * before they have done anything; doing it once more is harmless in any case, because it puts the same bytes to the same place.
   */
  async #shared(move: () => MaybePromise<void>): Promise<boolean> {
    if (!this.#takesShared) {
      return false;
    }
    try {
      await move();
      return true;
    } catch (error) {
      if (!(error instanceof TypeError)) {
        throw error;
      }
      this.#takesShared = false;
      return false;
    }
  }

  #ownBuffer(slot: number): Uint8Array {
    let buffer = this.#own.get(slot);
    if (buffer === undefined) {
      const { size } = this.#slots;
      buffer = this.storage.limits.memory > 8 ? AlignedBuffer.allocate(size) : new Uint8Array(size);
      this.#own.set(slot, buffer);
    }
    return buffer;
  }
}

function describe(call: HostedCall): string {
  switch (call.method) {
    case "resize":
      return `resize to ${String(call.size)} bytes`;
    case "resolve":
      return `resolve ${JSON.stringify(call.relative)}`;
    case "read":
    case "write":
    case "writeZeroes":
    case "discard":
    case "extents":
      return `${call.method} ${String(call.length)} bytes at ${hex(call.offset)}`;
    default:
      return call.method;
  }
}
