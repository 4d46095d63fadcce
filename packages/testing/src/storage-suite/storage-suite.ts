import type { Storage, StorageLimits } from "@img/format-core";
import { SeededRandom } from "../random/seeded-random.ts";
import { AlignedPool } from "../suite/aligned-pool.ts";
import type { TestCase } from "../suite/test-case.ts";
import { runIn, type World } from "../suite/world.ts";
import { storageCases } from "./cases/storage-cases.ts";
import { Grains } from "./grains.ts";
import type { StorageCase } from "./storage-case.ts";
import type { StorageFactory, StorageManifest } from "./storage-manifest.ts";
import { StorageSubject } from "./storage-subject.ts";

/**
 * The cases that prove a kind of storage: every promise that `Storage` makes, as far as the manifest says that it is made, in the asynchronous
 * world and, where there is a synchronous facet, in the synchronous one too.
 *
 * @param factory - makes the storages to test; each case makes its own
 */
export function storageSuite(factory: StorageFactory, manifest: StorageManifest = {}): TestCase[] {
  const limits = learnLimits(factory);
  const pool = new AlignedPool();
  const worlds: readonly World[] = manifest.sync === true ? ["async", "sync"] : ["async"];
  const cases = storageCases(manifest).filter((each) => each.when?.(manifest, factory) ?? true);
  return worlds.flatMap((world) =>
    cases.map((each) => ({
      name: `${each.name} (${world})`,
      run: async () => {
        await new CaseRun(each, factory, manifest, world).run(new Grains(await limits()), pool);
      },
    })),
  );
}

/** Gives the storages' limits, for which one is made the first time. */
function learnLimits(factory: StorageFactory): () => Promise<StorageLimits> {
  let known: Promise<StorageLimits> | undefined;
  const learn = async (): Promise<StorageLimits> => {
    const storage = await factory.create(new Uint8Array(1024 * 1024));
    const { limits } = storage;
    await storage[Symbol.asyncDispose]();
    await factory.destroy?.(storage);
    return limits;
  };
  return () => (known ??= learn());
}

/** One run of one case: makes the storages, and removes them whatever happens. */
class CaseRun {
  readonly #case: StorageCase;
  readonly #factory: StorageFactory;
  readonly #manifest: StorageManifest;
  readonly #world: World;
  readonly #open: Storage[] = [];
  readonly #created: Storage[] = [];

  constructor(each: StorageCase, factory: StorageFactory, manifest: StorageManifest, world: World) {
    this.#case = each;
    this.#factory = factory;
    this.#manifest = manifest;
    this.#world = world;
  }

  async run(grains: Grains, pool: AlignedPool): Promise<void> {
    const random = new SeededRandom(this.#manifest.seed ?? 1);
    const contents = this.#case.contents?.(grains, random) ?? mixedContents(grains, random);
    try {
      const subject = new StorageSubject({
        storage: await this.#make(contents),
        another: this.#case.another === true ? await this.#make(contents) : undefined,
        contents,
        manifest: this.#manifest,
        grains,
        world: this.#world,
        random,
        pool,
      });
      await runIn(this.#world, this.#case.run(subject));
      await this.#reopen(subject);
    } catch (error) {
      // the case's failure is the one to hear of
      await this.#cleanUp().catch(() => undefined);
      throw error;
    }
    await this.#cleanUp();
  }

  async #make(contents: Uint8Array): Promise<Storage> {
    // a copy, because a storage might keep what it is given
    const given = contents.slice();
    const factory = this.#factory;
    const storage = await (this.#case.readOnly === true && factory.readOnly !== undefined
      ? factory.readOnly(given)
      : factory.create(given));
    this.#open.push(storage);
    this.#created.push(storage);
    return storage;
  }

  async #reopen(subject: StorageSubject): Promise<void> {
    if (this.#case.reopened === undefined || this.#factory.reopen === undefined) {
      return;
    }
    if (!subject.isClosed) {
      await runIn(this.#world, subject.flush());
      await runIn(this.#world, subject.sync());
      await runIn(this.#world, subject.close());
    }
    subject.storage = await this.#factory.reopen(subject.storage);
    subject.isClosed = false;
    this.#open.push(subject.storage);
    await runIn(this.#world, this.#case.reopened(subject));
  }

  async #cleanUp(): Promise<void> {
    for (const storage of this.#open.splice(0).reverse()) {
      await storage[Symbol.asyncDispose]();
    }
    for (const storage of this.#created.splice(0)) {
      await this.#factory.destroy?.(storage);
    }
  }
}

/** Data, with a stretch of zeroes in the middle. */
function mixedContents(grains: Grains, random: SeededRandom): Uint8Array {
  const contents = random.bytes(grains.contents);
  return contents.fill(0, 15 * grains.largest, 22 * grains.largest);
}
