import type { Io } from "@img/format-core";
import { ifGrows, ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const ifZeroes = (manifest: StorageManifest): boolean =>
  ifWritable(manifest) && manifest.zeroes !== undefined && manifest.zeroes !== false;

/** `writeZeroes`: exact, whatever the host does with the space. */
export const zeroingCases: readonly StorageCase[] = [
  {
    name: "zeroes exactly the range that it is told to",
    when: ifZeroes,
    *run(subject: StorageSubject): Io<void> {
      const { zero } = subject.grains;
      for (const [index, count] of [
        [3, 1],
        [9, 11],
        [0, 2],
      ] as const) {
        yield* subject.zero(index * zero, count * zero);
        yield* subject.check();
      }
    },
  },
  {
    name: "zeroes exactly the range that it is told to, keeping its space",
    when: ifZeroes,
    *run(subject: StorageSubject): Io<void> {
      const { zero } = subject.grains;
      yield* subject.zero(2 * zero, 5 * zero, { allocate: true });
      yield* subject.check();
      yield* subject.zero(4 * zero, 10 * zero, { allocate: true });
      yield* subject.check();
    },
  },
  {
    name: "zeroes the smallest range that its limits allow",
    when: ifZeroes,
    *run(subject: StorageSubject): Io<void> {
      const { zero } = subject.storage.limits;
      yield* subject.zero(subject.grains.zero, zero);
      yield* subject.zero(5 * subject.grains.zero, zero, { allocate: true });
      yield* subject.check();
    },
  },
  {
    name: "zeroes nothing when the range is empty",
    when: ifZeroes,
    *run(subject: StorageSubject): Io<void> {
      yield* subject.zero(subject.grains.zero, 0);
      yield* subject.check();
    },
  },
  {
    name: "is as long as before, or as the range says, after zeroing past its end",
    when: (manifest) => ifZeroes(manifest) && ifGrows(manifest),
    *run(subject: StorageSubject): Io<void> {
      const { zero } = subject.grains;
      const start = subject.model.size - (subject.model.size % zero);
      yield* subject.zero(start - zero, 4 * zero);
      yield* subject.check();
      yield* subject.zero(start + 20 * zero, 2 * zero);
      yield* subject.check();
      yield* subject.zero(start + 30 * zero, 2 * zero, { allocate: true });
      yield* subject.check();
    },
  },
  {
    name: "takes writes where it was zeroed",
    when: ifZeroes,
    *run(subject: StorageSubject): Io<void> {
      const { zero, request } = subject.grains;
      yield* subject.zero(zero, 8 * zero);
      yield* subject.write(subject.random.bytes(request), 2 * zero);
      yield* subject.check();
      yield* subject.zero(zero, 8 * zero);
      yield* subject.check();
    },
  },
];
