import type { Io } from "@img/format-core";
import type { SeededRandom } from "../random/seeded-random.ts";
import type { Grains } from "./grains.ts";
import type { StorageFactory, StorageManifest } from "./storage-manifest.ts";
import type { StorageSubject } from "./storage-subject.ts";

/** One case of the storage suite, for both worlds. */
export interface StorageCase {
  readonly name: string;
  /** Which storages it is for. Default: all. */
  readonly when?: (manifest: StorageManifest, factory: StorageFactory) => boolean;
  /** What the storage begins with. Default: data with a stretch of zeroes. */
  readonly contents?: (grains: Grains, random: SeededRandom) => Uint8Array;
  /** Give it a read-only storage. Default `false`. */
  readonly readOnly?: boolean;
  /** Give it {@link StorageSubject.another}. Default `false`. */
  readonly another?: boolean;
  /** What is done and asserted. */
  run(subject: StorageSubject): Io<void>;
  /** What is asserted after the storage was flushed, synced, closed and opened again. */
  reopened?(subject: StorageSubject): Io<void>;
}

/** Most storages: they can be written. */
export const ifWritable = (manifest: StorageManifest): boolean => manifest.writable !== false;

/** They get longer when something is written past the end. */
export const ifGrows = (manifest: StorageManifest): boolean => ifWritable(manifest) && manifest.grows !== false;

/** They may have `copyFrom`. */
export const mayCopy = (manifest: StorageManifest): boolean =>
  manifest.copies !== undefined && manifest.copies !== false;

/** Something can be copied into them. */
export const ifCopies = (manifest: StorageManifest): boolean => ifWritable(manifest) && mayCopy(manifest);
