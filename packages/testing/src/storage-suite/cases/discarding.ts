import type { Io } from "@img/format-core";
import { ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const ifDiscards = (manifest: StorageManifest): boolean =>
  ifWritable(manifest) && manifest.discards !== undefined && manifest.discards !== false;

/** `discard`: only contents of the range are lost, never bytes around it, never length. */
export const discardingCases: readonly StorageCase[] = [
  {
    name: "keeps its size and everything around a range that is discarded",
    when: ifDiscards,
    *run(subject: StorageSubject): Io<void> {
      const { discard } = subject.grains;
      yield* subject.discard(3 * discard, 5 * discard);
      yield* subject.check();
      yield* subject.discard(0, discard);
      yield* subject.check();
    },
  },
  {
    name: "keeps its size when all of it is discarded",
    when: ifDiscards,
    *run(subject: StorageSubject): Io<void> {
      const { size } = subject.model;
      yield* subject.discard(0, size - (size % subject.storage.limits.discard));
      yield* subject.check();
    },
  },
  {
    name: "keeps its size when its end is discarded, and what lies behind",
    when: ifDiscards,
    *run(subject: StorageSubject): Io<void> {
      const { discard } = subject.storage.limits;
      const start = subject.model.size - (subject.model.size % discard) - 4 * discard;
      yield* subject.discard(start, 2 * subject.grains.discard);
      yield* subject.check();
      yield* subject.discard(start + 100 * subject.grains.discard, subject.grains.discard);
      yield* subject.check();
    },
  },
  {
    name: "discards nothing when the range is empty",
    when: ifDiscards,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.discard(subject.grains.discard, 0);
      yield* subject.check();
    },
  },
  {
    name: "takes writes where it was discarded",
    when: ifDiscards,
    *run(subject: StorageSubject): Io<void> {
      const { discard, request } = subject.grains;
      yield* subject.discard(0, 12 * discard);
      yield* subject.write(subject.random.bytes(2 * request), 2 * discard);
      yield* subject.check();
    },
  },
];
