import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MemoryStorage, runAsync } from "@img/format-core";
import { raw } from "@img/raw";
import { afterAll, describe, expect, it, vi } from "vitest";
import { PartThreads } from "../src/node/part-threads.ts";
import { ThreadStarter } from "../src/node/thread-starter.ts";
import { SharedParts } from "../src/parts/shared-parts.ts";

const MiB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "img-parts-"));
const entry = join(directory, "worker.mjs");
writeFileSync(
  entry,
  `import { parentPort, workerData } from "node:worker_threads";
   parentPort.postMessage("begun");
   parentPort.postMessage("helped");
   Atomics.add(new Int32Array(workerData.memory, 0, 1), 0, 1);`,
);

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** A disk that says how much of the host's medium it takes. */
class Sized extends MemoryStorage {
  readonly #allocated: number;
  asked = 0;

  constructor(allocated: number) {
    super(new Uint8Array(MiB));
    this.#allocated = allocated;
  }

  override allocatedSize(): number {
    this.asked++;
    return this.#allocated;
  }
}

/** Asks threads for help before anything is done; returns how many there were. */
async function helpersFor(sizes: readonly number[], threads: number): Promise<number> {
  const storages = sizes.map((size) => new Sized(size));
  const images = await Promise.all(storages.map((storage) => raw.open(storage)));
  const starter = new ThreadStarter({ threads, workerEntry: pathToFileURL(entry) });
  const helper = new PartThreads(({ total, memory }) => ({ kind: "test", total, memory }), images, starter);
  const parts = new SharedParts(MiB);
  const begun = new Int32Array(parts.memory, 0, 1);
  await Promise.all([runAsync(helper.consider(parts)), runAsync(helper.consider(parts))]);
  const enough = sizes.reduce((sum, size) => sum + size, 0) >= 256 * MiB;
  for (let left = enough ? 2000 : 20; helper.helped < threads - 1 && left > 0; left--) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await runAsync(helper.end());
  expect(storages.map(({ asked }) => asked)).toEqual(storages.map(() => 1));
  expect(begun[0]).toBe(helper.helped);
  return helper.helped;
}

/** Asks a thread for help when little was done in some milliseconds; returns how many there were. */
async function helpersAfter(elapsed: number, size: number): Promise<number> {
  const clock = vi.spyOn(performance, "now").mockReturnValue(1000);
  try {
    const starter = new ThreadStarter({ threads: 2, workerEntry: pathToFileURL(entry) });
    const images = [await raw.open(new Sized(size))];
    const helper = new PartThreads(({ total, memory }) => ({ kind: "test", total, memory }), images, starter);
    const parts = new SharedParts(1024 * MiB);
    parts.add(MiB, 0);
    clock.mockReturnValue(1000 + elapsed);
    await runAsync(helper.consider(parts));
    for (
      let left = elapsed < (size > 0 && size < 32 * MiB ? 40 : 8) ? 10 : 2000;
      helper.helped === 0 && left > 0;
      left--
    ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await runAsync(helper.end());
    return helper.helped;
  } finally {
    clock.mockRestore();
  }
}

describe("threads that help with parts", () => {
  it("begin at once where the images' files are long together, each once", async () => {
    expect(await helpersFor([256 * MiB], 2)).toBe(1);
    expect(await helpersFor([128 * MiB, 128 * MiB], 3)).toBe(2);
  });

  it("wait for how it goes where they are shorter", async () => {
    expect(await helpersFor([256 * MiB - 1], 2)).toBe(0);
    expect(await helpersAfter(7, 32 * MiB)).toBe(0);
    expect(await helpersAfter(8, 32 * MiB)).toBe(1);
    expect(await helpersAfter(8, 0)).toBe(1);
  });

  it("wait longer where they are short", async () => {
    expect(await helpersAfter(39, 32 * MiB - 1)).toBe(0);
    expect(await helpersAfter(40, 32 * MiB - 1)).toBe(1);
  });
});
