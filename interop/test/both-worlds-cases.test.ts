import { MemoryStorage, type FormatAccess, type Io, type Storage } from "@img/format-core";
import { qcow2, type Qcow2CreateOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { createSync } from "@img/sync";
import { formatSuite, type FormatFactory, type FormatManifest, type TestCase } from "@img/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inWorld, type World } from "../src/in-world.ts";
import { Transcript } from "../src/transcript.ts";

interface Kind {
  readonly factory: Required<Pick<FormatFactory, "format" | "open">> & Pick<FormatFactory, "image" | "create">;
  readonly manifest: FormatManifest;
  /** Whether the cases on storages with blocks run, too. */
  readonly aligned?: boolean;
}

/** The smallest caches: whatever can be written back early is. */
const smallCaches = { l2CacheSize: 1, refcountCacheSize: 1, clusterCacheSize: 1 };

const writable: FormatManifest = { discardsToBacking: true, grows: true, shrinks: true, mutations: 10, programs: 2 };

function qcow2Kind(create: Qcow2CreateOptions): Kind {
  const { clusterSize = 65536 } = create;
  return {
    factory: {
      format: qcow2,
      open: ([storage], settings) => qcow2.openIo(storage!, { ...settings, ...smallCaches }),
      create: ([storage], options) => qcow2.createIo(storage!, { ...create, ...options }),
    },
    manifest: { ...writable, blockSize: clusterSize, diskSize: Math.ceil(clusterSize / 4096) * 8 * 4096 },
  };
}

/** Half of the disk comes from below. */
function overlayImage(disk: Uint8Array): Uint8Array[] {
  const [top, below] = [new MemoryStorage(), new MemoryStorage()];
  const size = disk.length;
  using backing = createSync(qcow2, below, { size, clusterSize: 4096 });
  const half = Math.floor(size / 2);
  backing.write(disk.subarray(0, half), 0);
  const names = { backingFile: { name: "below", format: "qcow2" }, backing: backing.inner };
  const image = createSync(qcow2, top, { size, clusterSize: 4096, ...names });
  image.write(disk.subarray(half), half);
  image.close();
  backing.flush();
  return [top.toUint8Array(), below.toUint8Array()];
}

function* openOverlay([top, below]: readonly Storage[], settings: { readonly writable: boolean }): Io<FormatAccess> {
  const backing = yield* qcow2.openIo(below!, smallCaches);
  return yield* qcow2.openIo(top!, { ...settings, ...smallCaches, backing });
}

const kinds: Readonly<Record<string, Kind>> = {
  raw: {
    factory: { format: raw, open: ([storage], settings) => raw.openIo(storage!, settings) },
    manifest: { anything: true, grows: true, shrinks: true, mutations: 10 },
    aligned: true,
  },
  "qcow2 with usual clusters": qcow2Kind({}),
  "qcow2 with the smallest clusters and the widest refcounts": qcow2Kind({ clusterSize: 512, refcountBits: 64 }),
  "qcow2 with subclusters": { ...qcow2Kind({ clusterSize: 16384, extendedL2: true }), aligned: true },
  "qcow2 over a backing image": {
    factory: { format: qcow2, image: overlayImage, open: openOverlay },
    manifest: { ...writable, creates: false, storages: 2, blockSize: 4096, preallocations: ["none"] },
  },
};

/** The cases of a kind, whose images are used in the world that is set, and written down in the transcript that is. */
class WatchedCases {
  readonly cases: ReadonlyMap<string, TestCase>;
  #world: World = "async";
  #transcript = new Transcript();

  constructor({ factory, manifest }: Kind) {
    const watch = (open: Io<FormatAccess>): Io<FormatAccess> => this.#watch(open);
    const { open, create } = factory;
    const suite = formatSuite(
      {
        ...factory,
        open: (storages, settings) => watch(open(storages, settings)),
        create: (storages, options) =>
          watch(create?.(storages, options) ?? factory.format.createIo(storages[0]!, options)),
      },
      manifest,
    );
    this.cases = new Map(suite.map((each) => [each.name, each]));
  }

  /** Runs a case, which has to pass, and returns what was asked of its images, and answered. */
  async transcript(name: string, world: World): Promise<readonly string[]> {
    this.#world = world;
    this.#transcript = new Transcript();
    await this.cases.get(name)?.run();
    return this.#transcript.lines;
  }

  *#watch(open: Io<FormatAccess>): Io<FormatAccess> {
    const [world, transcript] = [this.#world, this.#transcript];
    const access = yield* transcript.record("open", open, String);
    // what goes on beside a part that fails is done, or isn't: the same is done in both worlds if parts come one after the other
    access.readParallelization = 1;
    access.writeParallelization = 1;
    return inWorld(world, access, transcript);
  }
}

for (const [title, kind] of Object.entries(kinds)) {
  describe(`${title}, through FormatAccess and through SyncFormatAccess`, () => {
    const watched = new WatchedCases(kind);
    let asked = 0;
    afterAll(() => {
      expect(asked).toBeGreaterThan(1000);
    });
    // the image that all cases begin with is made once
    beforeAll(() => watched.transcript([...watched.cases.keys()][0]!, "async"));
    const pairs = [...watched.cases.keys()].filter((name) => name.endsWith("(sync)"));
    it.each(pairs.map((name) => name.replace(/ \(sync\)$/, "")))("%s", async (name) => {
      const asynchronous = await watched.transcript(`${name} (async)`, "async");
      const synchronous = await watched.transcript(`${name} (sync)`, "sync");
      if (name.startsWith("closes its storages, once")) {
        // it is asked for several times at once; in the synchronous world, one is done before the next
        expect([...synchronous].sort()).toEqual([...asynchronous].sort());
      } else {
        expect(synchronous).toEqual(asynchronous);
      }
      asked += synchronous.length;
    });
    // on storages with blocks, the models are enough to compare with
    const aligned = [...watched.cases.keys()].filter((name) => kind.aligned === true && name.includes("(sync, "));
    it.each(aligned)("%s", async (name) => {
      await watched.transcript(name, "sync");
    });
  });
}
