import { ImgError, MemoryStorage, StorageDecorator } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { StorageMutant } from "./storage-mutant.ts";

/** A storage with one member replaced. */
function having(member: PropertyKey, value: unknown): StorageMutant["create"] {
  return (contents) => Object.defineProperty(new MemoryStorage(contents), member, { value });
}

class FlushForgets extends MemoryStorage {
  #before: Uint8Array | undefined;

  override write(from: IoVector, offset: number): void {
    this.#before ??= this.toUint8Array();
    super.write(from, offset);
  }

  override flush(): void {
    super.flush();
    this.#restore();
  }

  #restore(): void {
    if (this.#before !== undefined) {
      super.write(IoVector.single(this.#before), 0);
      this.#before = undefined;
    }
  }
}

class SyncsOnce extends MemoryStorage {
  #synced = false;

  override sync(): void {
    if (this.#synced) {
      throw new ImgError("ERR_IMG_BUSY", "synced already");
    }
    this.#synced = true;
  }
}

class InvalidateForgets extends MemoryStorage {
  override invalidate(): void {
    super.invalidate();
    this.discard(0, this.size);
  }
}

class ClosesOnce extends MemoryStorage {
  #closed = false;

  override [Symbol.dispose](): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", "closed already");
    }
    this.#closed = true;
    super[Symbol.dispose]();
  }
}

class NeverCloses extends MemoryStorage {
  override [Symbol.dispose](): void {
    return;
  }
}

class LabelNeedsToBeOpen extends MemoryStorage {
  #closed = false;

  constructor(contents: Uint8Array) {
    super(contents);
    Object.defineProperty(this, "label", {
      get: () => {
        if (this.#closed) {
          throw new ImgError("ERR_IMG_CLOSED", "closed");
        }
        return "memory";
      },
    });
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#closed = true;
  }
}

class SilentlyReadOnly extends MemoryStorage {
  constructor(contents: Uint8Array) {
    super(contents, { writable: false });
  }

  override write(): void {
    return;
  }
}

class ReadOnlyInName extends StorageDecorator {
  override get writable(): boolean {
    return false;
  }
}

class Unsaved extends MemoryStorage {
  readonly saved: Uint8Array;

  constructor(contents: Uint8Array) {
    super(contents);
    this.saved = contents;
  }
}

const changes = /^refuses .* with ERR_IMG_READ_ONLY when it is read-only/;

export const stateMutants: readonly StorageMutant[] = [
  {
    name: "it is longer than what it was made with",
    create: (contents) => {
      const storage = new MemoryStorage(contents);
      storage.resize?.(contents.length + 1);
      return storage;
    },
    caughtBy: ["has the size of what it was made with", "may hold no bytes at all"],
  },
  {
    name: "it has no label",
    create: (contents) => new MemoryStorage(contents, { label: " " }),
    caughtBy: ["has a label for people"],
  },
  {
    name: "it says that it is read-only",
    create: having("writable", false),
    caughtBy: ["is writable exactly if its manifest says so"],
  },
  {
    name: "its request limit isn't a power of two",
    create: having("limits", { request: 3, memory: 1, zero: 3, discard: 3 }),
    caughtBy: ["has limits that are powers of two, with zero and discard multiples of request"],
  },
  {
    name: "its zero limit is less than its request limit",
    create: having("limits", { request: 512, memory: 1, zero: 1, discard: 512 }),
    caughtBy: ["has limits that are powers of two, with zero and discard multiples of request"],
  },
  {
    name: "a method that the manifest names is missing",
    create: having("discard", undefined),
    caughtBy: [
      "has the optional methods that its manifest names, and no others",
      "has every method in both worlds if it has the synchronous facet",
    ],
  },
  {
    name: "there is a method that the manifest doesn't name",
    create: (contents) => new MemoryStorage(contents),
    manifest: { extents: false },
    caughtBy: ["has the optional methods that its manifest names, and no others"],
  },
  {
    name: "the synchronous facet is there although the manifest denies it",
    create: (contents) => new MemoryStorage(contents),
    manifest: { sync: false },
    caughtBy: ["has the synchronous facet exactly if its manifest says so"],
    worlds: ["async"],
  },
  {
    name: "the synchronous facet is missing",
    create: having("readSync", undefined),
    caughtBy: ["has the synchronous facet exactly if its manifest says so"],
  },
  {
    name: "the synchronous facet lacks a method",
    create: having("writeZeroesSync", undefined),
    caughtBy: ["has every method in both worlds if it has the synchronous facet"],
  },
  {
    name: "all have the same identity",
    create: having("identity", "1:1"),
    caughtBy: ["has an identity, if any, that no other storage has"],
  },
  {
    name: "names resolve to relative locations",
    create: having("resolve", (relative: string) => `images/${relative}`),
    manifest: { resolves: true },
    caughtBy: ["resolves names found inside to absolute locations"],
  },
  {
    name: "absolute names are resolved a second time",
    create: having("resolve", (relative: string) => `/images/${relative}`),
    manifest: { resolves: true },
    caughtBy: ["resolves names found inside to absolute locations"],
  },
  {
    name: "flushing forgets what was written",
    create: (contents) => new FlushForgets(contents),
    caughtBy: ["has after flush and sync what it had before", "flushes and syncs while it is read and written"],
  },
  {
    name: "it can be synced only once",
    create: (contents) => new SyncsOnce(contents),
    caughtBy: ["flushes and syncs at any time, in any order, however often"],
  },
  {
    name: "invalidating forgets what was flushed and synced",
    create: (contents) => new InvalidateForgets(contents),
    caughtBy: ["has after invalidate what was flushed and synced before"],
  },
  {
    name: "closing twice is refused",
    create: (contents) => new ClosesOnce(contents),
    caughtBy: ["closes more than once without complaint"],
  },
  {
    name: "it goes on when it is closed",
    create: (contents) => new NeverCloses(contents),
    caughtBy: [/^refuses .* with ERR_IMG_CLOSED after it was closed/],
  },
  {
    name: "its label is gone when it is closed",
    create: (contents) => new LabelNeedsToBeOpen(contents),
    caughtBy: ["has its label after it was closed, for messages"],
  },
  {
    name: "what was written is gone when it is opened again",
    create: (contents) => new Unsaved(contents),
    reopen: (storage) => new MemoryStorage(storage instanceof Unsaved ? storage.saved : undefined),
    caughtBy: [
      "has everything when it is opened again, its size too",
      "has what was written before it was closed when it is opened again",
      "has the size that it was given when it is opened again",
      /^does what a plain array of bytes does/,
    ],
  },
  {
    name: "it is read-only in name only",
    create: (contents) => new MemoryStorage(contents),
    readOnly: (contents) => new ReadOnlyInName(new MemoryStorage(contents)),
    caughtBy: [changes],
  },
  {
    name: "writes to a read-only one are dropped silently",
    create: (contents) => new MemoryStorage(contents),
    readOnly: (contents) => new SilentlyReadOnly(contents),
    caughtBy: [/^refuses write(| past the end) with ERR_IMG_READ_ONLY/],
  },
  {
    name: "a read-only one says that it is writable",
    create: (contents) => new MemoryStorage(contents),
    readOnly: (contents) => new MemoryStorage(contents),
    caughtBy: ["says of itself that it is read-only when it is, and reads all the same"],
  },
];
