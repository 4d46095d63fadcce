import {
  MemoryStorage,
  perform,
  runAsync,
  type DataMapping,
  type FormatAccess,
  type FormatDriver,
  type FormatIo,
  type Io,
  type Mapping,
  type MaybePromise,
  type Preallocation,
  type ReadStep,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SyncFormatAccess } from "@img/sync";
import { digest, type Transcript } from "./transcript.ts";

/** Which of the two public ways to use an image is taken: `FormatAccess` or `SyncFormatAccess`. */
export type World = "async" | "sync";

/**
 * The image, so that all that is asked of it, through `io` or by methods with promises, goes through the public methods of one world and is written down.
 * After it is closed, what its storages in memory hold is written down, too.
 */
export function inWorld<D extends FormatDriver>(
  world: World,
  access: FormatAccess<D>,
  transcript: Transcript,
): FormatAccess<D> {
  const asked = new AskedInWorld(world, access, transcript);
  const io = overlay(access.io, asked);
  return overlay(access, { io, ...withPromises(asked) });
}

/** `target` with other members in front of its own. */
function overlay<T extends object>(target: T, members: object): T {
  return new Proxy(target, {
    get: (_, name) => {
      const owner = name !== "constructor" && name in members ? members : target;
      const value: unknown = Reflect.get(owner, name, owner);
      // methods with private state want to be called on the object itself
      return typeof value === "function" ? (value.bind(owner) as unknown) : value;
    },
  });
}

/** The methods of `FormatAccess` that move data, and that programs call. */
function withPromises(asked: AskedInWorld) {
  return {
    read: (buffer: Uint8Array, offset: number) => runAsync(asked.read(IoVector.from(buffer), offset)),
    write: (buffer: Uint8Array, offset: number) => runAsync(asked.write(IoVector.from(buffer), offset)),
    writeCompressed: (buffer: Uint8Array, offset: number) =>
      runAsync(asked.writeCompressed(IoVector.from(buffer), offset)),
    getMapping: (offset: number, maxLength: number) => runAsync(asked.getMapping(offset, maxLength)),
    writeZeroes: (offset: number, length: number) => runAsync(asked.writeZeroes(offset, length)),
    discardToZero: (offset: number, length: number) => runAsync(asked.discardToZero(offset, length)),
    discardToAny: (offset: number, length: number) => runAsync(asked.discardToAny(offset, length)),
    resize: (size: number, preallocation?: Preallocation) => runAsync(asked.resize(size, preallocation)),
    flush: () => runAsync(asked.flush()),
    sync: () => runAsync(asked.sync()),
    close: () => runAsync(asked.close()),
  } satisfies Partial<FormatAccess>;
}

type Asked =
  | "getShallowMapping"
  | "getMapping"
  | "planRead"
  | "read"
  | "write"
  | "writeCompressed"
  | "ensureDataMapping"
  | "writeZeroes"
  | "discardToZero"
  | "discardToAny"
  | "discardToBacking"
  | "resize"
  | "resizeGrow"
  | "resizeShrink"
  | "flush"
  | "sync"
  | "invalidateCache"
  | "close";

/** The operations of `FormatIo`, done by the public methods of one world. */
class AskedInWorld implements Pick<FormatIo, Asked> {
  readonly #world: World;
  readonly #access: FormatAccess;
  readonly #synchronous: SyncFormatAccess;
  readonly #transcript: Transcript;

  constructor(world: World, access: FormatAccess, transcript: Transcript) {
    this.#world = world;
    this.#access = access;
    this.#synchronous = new SyncFormatAccess(access);
    this.#transcript = transcript;
  }

  getShallowMapping(offset: number, maxLength: number): Io<ShallowMapping> {
    const what = `shallow mapping of ${String(maxLength)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.getShallowMapping(offset, maxLength), show);
  }

  getMapping(offset: number, maxLength: number): Io<Mapping> {
    const what = `mapping of ${String(maxLength)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.getMapping(offset, maxLength), show);
  }

  planRead(offset: number, length: number, merge: boolean): Io<ReadStep[]> {
    const what = `plan of ${String(length)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.planRead(offset, length, { merge }) as ReadStep[], show);
  }

  read(into: IoVector, offset: number): Io<void> {
    const what = `read ${String(into.length)} at ${String(offset)}`;
    const single = into.singleBuffer;
    return this.#ask(
      what,
      (access) => (single === undefined ? access.readv(into, offset) : access.read(single, offset)),
      () => digest(into.toUint8Array()),
    );
  }

  write(from: IoVector, offset: number): Io<void> {
    const what = `write ${digest(from.toUint8Array())} at ${String(offset)}`;
    const single = from.singleBuffer;
    return this.#ask(what, (access) =>
      single === undefined ? access.writev(from, offset) : access.write(single, offset),
    );
  }

  writeCompressed(from: IoVector, offset: number): Io<void> {
    const bytes = from.toUint8Array();
    const what = `compress ${digest(bytes)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.writeCompressed(bytes, offset));
  }

  ensureDataMapping(offset: number, length: number, overwrite: boolean): Io<DataMapping> {
    const what = `ensure ${String(length)} at ${String(offset)}, ${overwrite ? "to overwrite" : "to keep"}`;
    return this.#ask(what, (access) => access.ensureDataMapping(offset, length, { overwrite }), show);
  }

  writeZeroes(offset: number, length: number): Io<void> {
    return this.#ask(`zero ${String(length)} at ${String(offset)}`, (access) => access.writeZeroes(offset, length));
  }

  discardToZero(offset: number, length: number): Io<void> {
    const what = `discard to zero ${String(length)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.discardToZero(offset, length));
  }

  discardToAny(offset: number, length: number): Io<void> {
    const what = `discard to any ${String(length)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.discardToAny(offset, length));
  }

  discardToBacking(offset: number, length: number): Io<void> {
    const what = `discard to backing ${String(length)} at ${String(offset)}`;
    return this.#ask(what, (access) => access.discardToBacking(offset, length));
  }

  resize(size: number, preallocation?: Preallocation): Io<void> {
    const what = `resize to ${String(size)} (${String(preallocation)})`;
    return this.#ask(what, (access) => access.resize(size, preallocation));
  }

  resizeGrow(size: number, preallocation?: Preallocation): Io<void> {
    const what = `grow to ${String(size)} (${String(preallocation)})`;
    return this.#ask(what, (access) => access.resizeGrow(size, preallocation));
  }

  resizeShrink(size: number): Io<void> {
    return this.#ask(`shrink to ${String(size)}`, (access) => access.resizeShrink(size));
  }

  flush(): Io<void> {
    return this.#ask("flush", (access) => access.flush());
  }

  sync(): Io<void> {
    return this.#ask("sync", (access) => access.sync());
  }

  invalidateCache(discardDirty: boolean): Io<void> {
    return this.#ask("invalidate", (access) => access.invalidateCache({ discardDirty }));
  }

  *close(): Io<void> {
    yield* this.#ask("close", (access) => access.close());
    for (const storage of this.#access.storages()) {
      if (storage instanceof MemoryStorage) {
        this.#transcript.add(`${storage.label} holds ${digest(storage.toUint8Array())}`);
      }
    }
  }

  #ask<T>(
    what: string,
    call: (access: FormatAccess | SyncFormatAccess) => MaybePromise<T>,
    describe: (value: T) => string = () => "done",
  ): Io<T> {
    const asked = this.#world === "sync" ? this.#synchronous : this.#access;
    const step = perform({ label: String(this.#access), async: () => call(asked), sync: () => call(asked) as T });
    return this.#transcript.record(what, step, describe);
  }
}

/** Storages and images by what they are called: there is one of each in each world. */
function show(value: unknown): string {
  return JSON.stringify(value, (key, member: unknown) =>
    key === "storage" ? (member as Storage).label : key === "layer" ? String(member) : member,
  );
}
