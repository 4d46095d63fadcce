import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertBytes, assertBytesOfEither, ModelDisk, RecordingStorage, SeededRandom } from "../src/index.ts";

const size = 8192;

type Change =
  | { readonly kind: "write" | "zero"; readonly offset: number; readonly length: number; readonly byte: number }
  | { readonly kind: "sync" };

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    offset: fc.nat(size),
    length: fc.integer({ min: 1, max: 3000 }),
    byte: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({
    kind: fc.constant("zero" as const),
    offset: fc.nat(size),
    length: fc.integer({ min: 1, max: 3000 }),
    byte: fc.constant(0),
  }),
  fc.record({ kind: fc.constant("sync" as const) }),
);

/** Does the changes, marks how many are synced, and gives what the storage held in the beginning and after each one. */
function play(storage: RecordingStorage<MemoryStorage>, changes: readonly Change[]): Uint8Array[] {
  const disks: Uint8Array[] = [storage.inner.toUint8Array()];
  for (const [index, each] of changes.entries()) {
    if (each.kind === "write") {
      storage.writeSync?.(IoVector.single(new Uint8Array(each.length).fill(each.byte)), each.offset);
    } else if (each.kind === "zero") {
      storage.writeZeroesSync?.(each.offset, each.length);
    } else {
      storage.syncSync?.();
      storage.recording.mark(index + 1);
    }
    disks.push(storage.inner.toUint8Array());
  }
  return disks;
}

describe("a recording of any changes", () => {
  it("ends in a prefix that is what the storage holds", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
        const storage = new RecordingStorage(new MemoryStorage(new SeededRandom(1).bytes(size)));
        play(storage, changes);
        const last = [...storage.states({ subsets: 0 })].at(-1)!;
        assertBytes(last.toUint8Array(), storage.inner.toUint8Array(), "the last prefix");
      }),
      { numRuns: 60 },
    );
  });

  it("has in every state the bytes of some moment since the last sync", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.nat(), (changes, seed) => {
        const storage = new RecordingStorage(new MemoryStorage(new SeededRandom(1).bytes(size)));
        const disks = play(storage, changes);
        const length = Math.max(...disks.map((disk) => disk.length));
        const whole = disks.map((disk) => new ModelDisk(disk).read(0, length));
        let states = 0;
        for (const { storages, marks } of storage.recording.states({ seed, subsets: 3 })) {
          const synced = (marks.at(-1) ?? 0) as number;
          expect(storages[0]!.size).toBeGreaterThanOrEqual(disks[synced]!.length);
          const bytes = new ModelDisk(storages[0]!.toUint8Array()).read(0, length);
          assertBytesOfEither(bytes, whole.slice(synced), "a state");
          states++;
        }
        expect(states).toBeGreaterThan(changes.length);
      }),
      { numRuns: 60 },
    );
  });
});
