import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, openerFromFunctions, type FormatAccess, type Io, type Storage } from "@img/format-core";
import { raw } from "@img/raw";
import { FaultStorage } from "@img/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compare,
  type CompareResult,
  type PartHelper,
  type Progress,
  type SharedPart,
  type SharedParts,
} from "../src/index.ts";
import { compareImageFiles, compareThreads, openImage, type CompareThreadsOptions } from "../src/node.ts";
import { buildWorker } from "./support/build-worker.ts";

const MiB = 1024 * 1024;
/** Six parts. */
const size = 44 * MiB;
const contents = new Uint8Array(size).map((_, at) => 1 + ((at >> 9) % 250));

function changedAt(...offsets: readonly number[]): Uint8Array {
  const bytes = contents.slice();
  for (const offset of offsets) {
    bytes[offset] = 255;
  }
  return bytes;
}

async function disk(bytes: Uint8Array | Storage): Promise<FormatAccess> {
  return await raw.open(bytes instanceof Uint8Array ? new MemoryStorage(bytes) : bytes);
}

/** Takes a number of parts each time that it is asked, and does with them what it is told. */
class Companion implements PartHelper {
  readonly taken: SharedPart[] = [];
  ended = 0;
  readonly #most: number;
  readonly #judge: (part: SharedPart, parts: SharedParts) => void;

  constructor(most: number, judge: (part: SharedPart, parts: SharedParts) => void) {
    this.#most = most;
    this.#judge = judge;
  }

  readonly #asked = new Set<number>();

  /** Asked once for each part that is done. */
  *consider(parts: SharedParts): Io<void> {
    if (parts.done === 0 || this.#asked.has(parts.done)) {
      return;
    }
    for (let count = 0; count < this.#most; count++) {
      const part = parts.take();
      if (part !== undefined) {
        this.taken.push(part);
        this.#judge(part, parts);
      }
    }
    this.#asked.add(parts.done);
  }

  *end(): Io<void> {
    this.ended++;
  }
}

/** Compares as a thread does. */
function honest(other: Uint8Array): (part: SharedPart, parts: SharedParts) => void {
  return (part, parts) => {
    const { start, end } = part;
    if (Buffer.compare(contents.subarray(start, end), other.subarray(start, end)) === 0) {
      parts.finish(part);
    } else {
      parts.stopAt(part);
    }
  };
}

const identical: CompareResult = { identical: true, sizeDiffers: false };

function differsAt(offset: number): CompareResult {
  return {
    identical: false,
    difference: "content",
    offset: offset - (offset % 512),
    sizeDiffers: false,
    pastEnd: false,
  };
}

describe("a comparison with help", () => {
  it("finds equal disks identical, and compares no part twice", async () => {
    for (const most of [0, 1, 3, 9]) {
      const companion = new Companion(most, honest(contents));
      const told: Progress[] = [];
      const options = { helper: companion, onProgress: (progress: Progress) => told.push(progress) };
      expect(await compare(await disk(contents), await disk(contents), options)).toEqual(identical);
      const indexes = companion.taken.map(({ index }) => index);
      expect(indexes).toEqual([...new Set(indexes)]);
      expect(indexes.length > 0).toBe(most > 0);
      const own = told.length - 1;
      const others = companion.taken.reduce((sum, { start, end }) => sum + end - start, 0);
      expect(own * 512 * 1024 + others).toBe(size);
      expect(companion.ended).toBe(1);
      expect(told.at(-1)).toEqual({ done: size, total: size });
      expect(told.map(({ done }) => done)).toEqual(told.map(({ done }) => done).sort((a, b) => a - b));
    }
  });

  it.each([
    [[0]],
    [[8 * MiB - 1]],
    [[8 * MiB]],
    [[17 * MiB + 700]],
    [[size - 1]],
    [[9 * MiB, 17 * MiB, 25 * MiB, 33 * MiB, 41 * MiB]],
    [[33 * MiB, 41 * MiB]],
    [[16 * MiB - 1, 16 * MiB]],
  ])("finds the first difference among %j, whoever meets it, and whether they tell or vanish", async (offsets) => {
    const other = changedAt(...offsets);
    for (const most of [1, 2, 9]) {
      for (const judge of [honest(other), () => undefined]) {
        const companion = new Companion(most, judge);
        const found = await compare(await disk(contents), await disk(other), { helper: companion });
        expect(found).toEqual(differsAt(offsets[0] ?? 0));
        expect(companion.ended).toBe(1);
      }
    }
  });

  it("does itself what a helper began and didn't finish", async () => {
    const companion = new Companion(2, () => undefined);
    const told: number[] = [];
    const options = { helper: companion, onProgress: ({ done }: Progress) => told.push(done) };
    expect(await compare(await disk(contents), await disk(contents), options)).toEqual(identical);
    expect(companion.taken.length).toBeGreaterThan(1);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.indexOf(size)).toBe(told.length - 1);
  });

  it("fails where the disk can't be read, unless something differs before", async () => {
    const broken = (): Storage =>
      new FaultStorage(new MemoryStorage(contents), [{ on: "read", range: { offset: 20 * MiB, length: MiB } }]);
    const failing = compare(await disk(contents), await disk(broken()), { helper: new Companion(0, honest(contents)) });
    await expect(failing).rejects.toMatchObject({ failure: { operation: "read", image: "second" } });
    // the helper has the part with the difference, and this thread the one that can't be read
    const other = changedAt(9 * MiB);
    const companion = new Companion(1, (part, parts) => {
      if (part.start >= 16 * MiB) parts.finish(part);
    });
    expect(await compare(await disk(other), await disk(broken()), { helper: companion })).toEqual(differsAt(9 * MiB));
  });

  it("waits for its helpers when it is aborted", async () => {
    const abort = new AbortController();
    const parts: SharedParts[] = [];
    const companion = new Companion(1, (_, given) => {
      parts.push(given);
      abort.abort(new Error("enough"));
    });
    const work = compare(await disk(contents), await disk(contents), { helper: companion, signal: abort.signal });
    await expect(work).rejects.toThrow("enough");
    expect(companion.ended).toBe(1);
    expect(parts[0]?.take()).toBeUndefined();
  });
});

describe("threads that compare", () => {
  let directory: string;
  let workerEntry: URL;
  const at = (name: string): string => join(directory, name);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "img-compare-"));
    writeFileSync(at("same.raw"), contents);
    writeFileSync(at("other.raw"), changedAt(30 * MiB + 5, 43 * MiB));
    for (const name of ["same", "other"]) {
      execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", at(`${name}.raw`), at(`${name}.qcow2`)]);
    }
    workerEntry = await buildWorker(at("worker"));
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  /** Compares slowly in this thread; says in how many steps of half a MiB it did. */
  async function together(
    first: string,
    second: string,
    more: CompareThreadsOptions = {},
  ): Promise<{ result: CompareResult; own: number }> {
    const specs = [{ path: at(first) }, { path: at(second) }] as const;
    await using a = await openImage(specs[0]);
    await using b = await openImage(specs[1]);
    const threads = compareThreads(
      { image: a, spec: specs[0] },
      { image: b, spec: specs[1] },
      { threads: 2, workerEntry, ...more },
    );
    let own = 0;
    const result = await compare(a, b, {
      ...(threads === undefined ? {} : { helper: threads }),
      onProgress: () => {
        own++;
        dawdle();
      },
    });
    return { result, own };
  }

  /** Takes four milliseconds, which makes help worth it. */
  function dawdle(): void {
    const end = performance.now() + 4;
    while (performance.now() < end);
  }

  it("share the work, and find what is to be found", async () => {
    const equal = await together("same.qcow2", "same.raw");
    expect(equal.result).toEqual(identical);
    expect(equal.own).toBeLessThan(size / MiB / 0.5);
    expect((await together("other.qcow2", "other.raw", { strict: false })).result).toEqual(identical);
    expect((await together("same.qcow2", "other.raw")).result).toEqual(differsAt(30 * MiB + 5));
    expect((await together("other.qcow2", "same.qcow2")).result).toEqual(differsAt(30 * MiB + 5));
  });

  it("aren't missed where they can't begin, end early, or can't open the images", async () => {
    writeFileSync(at("worker/broken.js"), "throw new Error('broken');\n");
    writeFileSync(at("worker/tired.js"), "process.exit(1);\n");
    for (const name of ["broken.js", "tired.js", "nowhere.js"]) {
      const { result } = await together("same.qcow2", "other.raw", { workerEntry: new URL(name, workerEntry) });
      expect(result).toEqual(differsAt(30 * MiB + 5));
    }
  });

  it("aren't begun for one processor, or for what lies elsewhere", async () => {
    const spec = { path: at("same.raw"), format: "raw" };
    await using file = await openImage(spec);
    const elsewhere = {
      image: await disk(contents),
      spec: {
        path: "memory:1",
        storages: { memory: openerFromFunctions({ open: () => new MemoryStorage(contents) }) },
      },
    };
    const there = { image: file, spec };
    expect(compareThreads(there, there, { threads: 1 })).toBeUndefined();
    expect(compareThreads(there, elsewhere, { threads: 2 })).toBeUndefined();
    expect(compareThreads(there, there, { threads: 2 })).toBeDefined();
  });

  it("help to compare files", async () => {
    const [same, other] = [{ path: at("same.qcow2") }, { path: at("other.qcow2") }];
    expect(await compareImageFiles(same, { path: at("same.raw") }, { workerEntry, onProgress: dawdle })).toEqual(
      identical,
    );
    expect(await compareImageFiles(same, other, { workerEntry, onProgress: dawdle })).toEqual(differsAt(30 * MiB + 5));
  });
});
