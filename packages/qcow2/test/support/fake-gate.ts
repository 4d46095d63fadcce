import {
  ImgError,
  MemoryStorage,
  type FormatAccess,
  type ImplicitReference,
  type Io,
  type OpenGate,
  type Storage,
} from "@img/format-core";
import { CountingStorage } from "@img/testing";
import { qcow2 } from "../../src/index.ts";
import type { World } from "./worlds.ts";

/** A directory in memory and the gate that opens what lies there; notes what it was asked for, and whether everything was closed. */
export class FakeGate implements OpenGate {
  /** Everything that was asked for, in order. */
  readonly asked: ImplicitReference[] = [];
  /** Everything that was opened, by {@link open} too. */
  readonly opened: CountingStorage[] = [];
  readonly #files = new Map<string, Uint8Array>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** What was opened and not closed. */
  get leaked(): readonly string[] {
    return this.opened.filter((storage) => storage.calls("close") === 0).map((storage) => storage.label);
  }

  /** Puts a file there. */
  put(location: string, contents: Uint8Array): void {
    this.#files.set(location, contents);
  }

  /** Opens a file. */
  open(location: string): CountingStorage {
    const contents = this.#files.get(location);
    if (contents === undefined) {
      throw new ImgError("ENOENT", `no such file: ${location}`);
    }
    const file = new MemoryStorage(contents, { location, identity: location, writable: false });
    const storage = new CountingStorage<Storage>(this.#world.storage(file));
    this.opened.push(storage);
    return storage;
  }

  *openStorage(reference: ImplicitReference): Io<Storage> {
    this.asked.push(reference);
    return this.open(reference.location);
  }

  *openImage(reference: ImplicitReference): Io<FormatAccess> {
    this.asked.push(reference);
    const storage = this.open(reference.location);
    try {
      return yield* qcow2.openIo(storage, { gate: this, chain: reference.chain });
    } catch (error) {
      yield* closeQuietly(storage);
      throw error;
    }
  }
}

function* closeQuietly(storage: Storage): Io<void> {
  yield {
    label: "closing",
    async: () => storage[Symbol.asyncDispose](),
    sync: () => {
      (storage as Storage & Disposable)[Symbol.dispose]();
    },
  };
}
