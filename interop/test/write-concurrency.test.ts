import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { checkImage, qcow2, type Qcow2Image } from "@img/qcow2";
import { DelayStorage } from "@img/testing";
import { expect, test } from "vitest";
import type { Random } from "../src/random.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { openWritable } from "../src/written-image.ts";

const rounds = 6;

interface Change {
  readonly offset: number;
  readonly length: number;
  /** What every byte of the range becomes. */
  readonly value: number;
  run(image: FormatAccess<Qcow2Image>): Promise<void>;
}

function randomChange(random: Random, value: number, clusterSize: number, size: number): Change {
  const whole = random.chance(0.15);
  const start = random.below(size);
  const offset = whole ? start - (start % clusterSize) : start;
  const length = whole
    ? Math.min(clusterSize, size - offset)
    : random.between(1, Math.min(size - offset, clusterSize * (random.chance(0.3) ? 6 : 1)));
  if (whole) {
    const bytes = new Uint8Array(length).fill(value);
    return { offset, length, value, run: (image) => image.writeCompressed(bytes, offset) };
  }
  switch (random.below(6)) {
    case 0:
      return { offset, length, value: 0, run: (image) => image.writeZeroes(offset, length) };
    case 1:
      return { offset, length, value: 0, run: (image) => image.discardToZero(offset, length) };
    default: {
      const bytes = new Uint8Array(length).fill(value);
      return { offset, length, value, run: (image) => image.write(bytes, offset) };
    }
  }
}

/** Every byte is what it was, or what a change of the same round that covers it makes of it; where one covers it, only the latter if `settled`. */
function checkBytes(
  actual: Uint8Array,
  offset: number,
  before: Uint8Array,
  changes: readonly Change[],
  settled: boolean,
): void {
  const end = offset + actual.length;
  const borders = changes.flatMap((change) => [change.offset, change.offset + change.length]);
  const starts = [offset, ...borders.filter((at) => at > offset && at < end)].sort((a, b) => a - b);
  for (const [index, start] of starts.entries()) {
    // between two borders, all bytes have the same possible values
    const possible = changes.filter((change) => start >= change.offset && start < change.offset + change.length);
    const values = new Set(possible.map((change) => change.value));
    const mayStay = !settled || possible.length === 0;
    for (let at = start; at < (starts[index + 1] ?? end); at++) {
      const value = actual[at - offset] ?? 0;
      if (!values.has(value) && !(mayStay && value === before[at])) {
        throw new Error(`byte ${String(at)} is ${String(value)}, expected one of ${[...values].join(", ")}`);
      }
    }
  }
}

async function runRound(
  image: FormatAccess<Qcow2Image>,
  model: Uint8Array,
  random: Random,
  count: number,
): Promise<void> {
  const { clusterSize } = image.driver.info;
  const changes = Array.from({ length: count }, (_, index) =>
    randomChange(random, 1 + (index % 255), clusterSize, image.size),
  );
  const reads = Array.from({ length: 20 }, async () => {
    const offset = random.below(image.size);
    const bytes = new Uint8Array(random.between(1, Math.min(image.size - offset, clusterSize * 2)));
    await image.read(bytes, offset);
    checkBytes(bytes, offset, model, changes, false);
  });
  const flushes = Array.from({ length: 3 }, () => image.flush());
  await Promise.all([...changes.map((change) => change.run(image)), ...reads, ...flushes]);
  const whole = new Uint8Array(image.size);
  await image.read(whole, 0);
  checkBytes(whole, 0, model, changes, true);
  model.set(whole);
}

const shapes = [
  { clusterSize: 512 },
  { clusterSize: 512, refcountBits: 64 },
  { clusterSize: 4096, compat: "0.10" },
  { clusterSize: 65536 },
  { clusterSize: 65536, extendedL2: true },
  { clusterSize: 4096, lazyRefcounts: true },
] as const;

for (const [index, shape] of shapes.entries()) {
  test(`hundreds of changes in flight give a result that some order of them gives, with the smallest caches (${JSON.stringify(shape)})`, async () => {
    const random = randomFor(`concurrency ${String(index)}`);
    const size = shape.clusterSize * 24 + 512;
    const memory = new MemoryStorage();
    await (await qcow2.create(memory, { size, ...shape })).flush();
    // an image with lazy refcounts that isn't closed can't be written again
    const runs = "lazyRefcounts" in shape ? 1 : Math.ceil(2 * runScale);
    for (let run = 0; run < runs; run++) {
      const delayed = new DelayStorage(memory, { seed: index * 100 + run + 1 });
      const image = await openWritable(delayed);
      const model = new Uint8Array(image.size);
      await image.read(model, 0);
      for (let round = 0; round < rounds; round++) {
        await runRound(image, model, random, 120);
      }
      await image.flush();
      const result = runSync(checkImage(memory));
      expect(result.findings, `seed ${runSeed}`).toEqual([]);
    }
  });
}

test("everything in flight on one cluster gives a result that some order gives", async () => {
  const random = randomFor("concurrency on one cluster");
  const memory = new MemoryStorage();
  await (await qcow2.create(memory, { size: 4096, clusterSize: 4096 })).flush();
  const image = await openWritable(new DelayStorage(memory, { seed: 7 }));
  const model = new Uint8Array(4096);
  for (let round = 0; round < 20; round++) {
    await runRound(image, model, random, 60);
  }
  await image.flush();
  expect(runSync(checkImage(memory)).findings).toEqual([]);
});
