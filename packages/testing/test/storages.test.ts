import { AnnotatedStorage, MemoryStorage, NullStorage, type Storage } from "@img/format-core";
import { describe, it } from "vitest";
import {
  AlignedStorage,
  AsyncStorage,
  CountingStorage,
  DelayStorage,
  FaultStorage,
  RecordingStorage,
  storageSuite,
  type StorageFactory,
  type StorageManifest,
  type TestCase,
} from "../src/index.ts";

/** What a {@link MemoryStorage} can do, and every decorator of one. */
const memory: StorageManifest = {
  resizes: true,
  zeroes: true,
  discards: true,
  extents: true,
  holes: 1024 * 1024,
  allocatedSize: true,
  invalidates: true,
  sync: true,
  maxOffset: Number.MAX_SAFE_INTEGER,
};

/** The same for a decorator, whose own doing doesn't take many programs to show. */
const decorated: StorageManifest = { ...memory, programs: 2 };

function over(decorate: (storage: MemoryStorage) => Storage): StorageFactory {
  return {
    create: (contents) => decorate(new MemoryStorage(contents)),
    readOnly: (contents) => decorate(new MemoryStorage(contents, { writable: false })),
  };
}

function runAll(name: string, cases: readonly TestCase[]): void {
  describe(name, () => {
    for (const { name: sentence, run } of cases) {
      it(sentence, run, 60_000);
    }
  });
}

runAll(
  "MemoryStorage",
  storageSuite(
    over((storage) => storage),
    memory,
  ),
);

runAll(
  "MemoryStorage with a location",
  storageSuite(
    { create: (contents) => new MemoryStorage(contents, { location: "/images/a.img" }) },
    { ...memory, resolves: true, programs: 1, maxOffset: 0 },
  ),
);

runAll(
  "MemoryStorage of fixed size",
  storageSuite(
    { create: (contents) => new MemoryStorage(contents, { fixedSize: true }) },
    { ...memory, resizes: false, grows: false },
  ),
);

runAll(
  "MemoryStorage with limits",
  storageSuite(
    {
      create: (contents) =>
        new MemoryStorage(contents, { limits: { request: 512, memory: 1, zero: 4096, discard: 16384 } }),
    },
    memory,
  ),
);

runAll(
  "MemoryStorage that is read-only",
  storageSuite(
    { create: (contents) => new MemoryStorage(contents, { writable: false }) },
    { ...memory, writable: false },
  ),
);

runAll(
  "NullStorage",
  storageSuite({ create: (contents) => new NullStorage(contents.length) }, { ...memory, retains: false }),
);

runAll(
  "AnnotatedStorage",
  storageSuite(
    over((storage) => new AnnotatedStorage(storage, "tag")),
    decorated,
  ),
);

runAll(
  "CountingStorage",
  storageSuite(
    over((storage) => new CountingStorage(storage)),
    decorated,
  ),
);

runAll(
  "FaultStorage without rules",
  storageSuite(
    over((storage) => new FaultStorage(storage)),
    decorated,
  ),
);

runAll(
  "RecordingStorage",
  storageSuite(
    over((storage) => new RecordingStorage(storage)),
    { ...decorated, maxOffset: 0 },
  ),
);

runAll(
  "AsyncStorage",
  storageSuite(
    over((storage) => new AsyncStorage(storage)),
    { ...decorated, sync: false },
  ),
);

runAll(
  "DelayStorage",
  storageSuite(
    over((storage) => new DelayStorage(storage)),
    { ...decorated, sync: false },
  ),
);

for (const limit of [512, 4096]) {
  runAll(
    `AlignedStorage of ${String(limit)} bytes`,
    storageSuite(
      over((storage) => new AlignedStorage(storage, limit)),
      decorated,
    ),
  );
}

runAll(
  "AlignedStorage of 4096 bytes, delayed",
  storageSuite(
    over((storage) => new DelayStorage(new AlignedStorage(storage, { request: 4096, zero: 8192 }))),
    { ...decorated, sync: false },
  ),
);
