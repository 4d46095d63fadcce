import type { Storage } from "@img/format-core";
import type { SeededRandom } from "../random/seeded-random.ts";
import type { World } from "../suite/world.ts";
import { AlignedStorage } from "../storages/aligned-storage.ts";
import { DelayStorage } from "../storages/delay-storage.ts";

/** One way to run a case: in which world, and on what storages. */
export interface FormatVariant {
  readonly name: string;
  readonly world: World;
  /** Nothing stands between the format and its storages. */
  readonly plain: boolean;
  decorate(storage: Storage, random: SeededRandom): Storage;
}

const same = (storage: Storage): Storage => storage;
const delayed = (storage: Storage, random: SeededRandom): Storage => new DelayStorage(storage, { seed: random.next() });

/** Every way that a format is tested in. */
export const formatVariants: readonly FormatVariant[] = [
  { name: "async", world: "async", plain: true, decorate: same },
  { name: "sync", world: "sync", plain: true, decorate: same },
  { name: "async, delayed", world: "async", plain: false, decorate: delayed },
  { name: "async, 512-byte blocks", world: "async", plain: false, decorate: aligned(512) },
  { name: "sync, 512-byte blocks", world: "sync", plain: false, decorate: aligned(512) },
  {
    name: "async, 4096-byte blocks, delayed",
    world: "async",
    plain: false,
    decorate: (storage, random) => delayed(aligned(4096)(storage), random),
  },
  { name: "sync, 4096-byte blocks", world: "sync", plain: false, decorate: aligned(4096) },
];

function aligned(limit: number): (storage: Storage) => Storage {
  return (storage) => new AlignedStorage(storage, limit);
}
