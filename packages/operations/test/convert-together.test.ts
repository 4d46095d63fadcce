import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, runAsync, runSync, type FormatAccess, type Io, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { raw } from "@img/raw";
import { FaultStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { convertIo } from "../src/convert/convert.ts";
import type { ConvertResult, PartHelper, Progress, SharedPart, SharedParts } from "../src/index.ts";
import { closeAll, openSharedImages, sharedImages } from "../src/node/shared-images.ts";
import { openImage } from "../src/node.ts";

const MiB = 1024 * 1024;
/** Six parts. */
const size = 44 * MiB;
const contents = new Uint8Array(size).map((_, at) => ((at >> 16) % 3 === 0 ? 0 : 1 + ((at >> 9) % 250)));
const data = contents.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0);

type Copy = (part: SharedPart, parts: SharedParts) => void;

/** Takes a number of parts the first time that it is asked, and does with them what it is told. */
class Companion implements PartHelper {
  readonly taken: SharedPart[] = [];
  parts: SharedParts | undefined;
  ended = 0;
  readonly #most: number;
  readonly #copy: Copy;

  constructor(most: number, copy: Copy) {
    this.#most = most;
    this.#copy = copy;
  }

  *consider(parts: SharedParts): Io<void> {
    this.parts = parts;
    while (this.taken.length < this.#most) {
      const part = parts.take();
      if (part === undefined) {
        break;
      }
      this.taken.push(part);
      this.#copy(part, parts);
    }
  }

  *end(): Io<void> {
    this.ended++;
  }
}

/** Copies as a thread does. */
function honest(memory: MemoryStorage): Copy {
  return (part, parts) => {
    const bytes = contents.subarray(part.start, part.end);
    memory.writeSync(IoVector.single(bytes), part.start);
    parts.finish(
      part,
      bytes.reduce((sum, byte) => sum + (byte === 0 ? 0 : 1), 0),
    );
  };
}

/** Leaves anything behind. */
function messy(memory: MemoryStorage): Copy {
  return ({ start, end }) => {
    memory.writeSync(IoVector.single(new Uint8Array(end - start).fill(9)), start);
  };
}

async function copyTo(
  memory: Storage,
  helper: PartHelper,
  {
    source = new MemoryStorage(contents),
    ...more
  }: { source?: Storage; onProgress?: (progress: Progress) => void } = {},
): Promise<ConvertResult> {
  const [from, to]: FormatAccess[] = [await raw.open(source), await raw.open(memory, { writable: true })];
  const options = { targetIsZero: false, chunkSize: MiB, parallel: 3, ...more };
  return await runAsync(convertIo([from!], to!, options, { helper }));
}

describe("a conversion with help", () => {
  it.each([0, 1, 3, 9])("copies every part once, %i of them by another", async (most) => {
    const memory = new MemoryStorage(new Uint8Array(size).fill(7));
    const companion = new Companion(most, honest(memory));
    const told: number[] = [];
    const onProgress = ({ done }: Progress): void => void told.push(done);
    const result = await copyTo(memory, companion, { onProgress });
    expect(Buffer.compare(memory.toUint8Array(), contents)).toBe(0);
    expect(result).toEqual({ size, written: data });
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(size);
    expect(companion.taken).toHaveLength(Math.min(most, 6));
    expect(companion.ended).toBe(1);
  });

  it.each([1, 2, 9])("does itself what %i parts were promised for", async (most) => {
    const memory = new MemoryStorage(new Uint8Array(size));
    const companion = new Companion(most, messy(memory));
    expect(await copyTo(memory, companion)).toEqual({ size, written: data });
    expect(Buffer.compare(memory.toUint8Array(), contents)).toBe(0);
  });

  it("counts once what another did and couldn't finish", async () => {
    const memory = new MemoryStorage(new Uint8Array(size));
    const companion = new Companion(2, (part, parts) => {
      messy(memory)(part, parts);
      parts.add(part.end - part.start, 0);
    });
    const told: number[] = [];
    const onProgress = ({ done }: Progress): void => void told.push(done);
    expect(await copyTo(memory, companion, { onProgress })).toEqual({ size, written: data });
    expect(Buffer.compare(memory.toUint8Array(), contents)).toBe(0);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    // complete at the end alone
    expect(told.indexOf(size)).toBe(told.length - 1);
    expect(told.filter((done) => done > size - 16 * MiB && done < size).length).toBeGreaterThan(3);
  });

  it("does itself what another can't, and all that follows", async () => {
    const memory = new MemoryStorage(new Uint8Array(size));
    const companion = new Companion(1, (part, parts) => {
      messy(memory)(part, parts);
      parts.stopAt(part);
    });
    expect(await copyTo(memory, companion)).toEqual({ size, written: data });
    expect(Buffer.compare(memory.toUint8Array(), contents)).toBe(0);
  });

  it("waits for its helper when it fails, which needn't go on", async () => {
    const memory = new MemoryStorage(new Uint8Array(size));
    const source = new FaultStorage(new MemoryStorage(contents), [
      { on: "read", range: { offset: 20 * MiB, length: MiB } },
    ]);
    const companion = new Companion(1, honest(memory));
    await expect(copyTo(memory, companion, { source })).rejects.toMatchObject({ code: "EIO" });
    expect(companion.ended).toBe(1);
    expect(companion.parts?.take()).toBeUndefined();
    expect(companion.parts?.isWanted(companion.taken[0]!)).toBe(false);
  });
});

describe("images that two threads open", () => {
  it("are the same files, or aren't opened", async () => {
    const directory = mkdtempSync(join(tmpdir(), "img-shared-"));
    try {
      const path = join(directory, "disk.raw");
      writeFileSync(path, contents.subarray(0, MiB));
      const spec = { path };
      await using image = await openImage(spec);
      const shared = sharedImages([image], [spec]);
      const [other] = openSharedImages(shared);
      expect(other?.driver.format).toBe("raw");
      const found = new Uint8Array(MiB);
      runSync(other!.io.read(IoVector.single(found), 0));
      expect(Buffer.compare(found, contents.subarray(0, MiB))).toBe(0);
      closeAll([other!]);
      writeFileSync(join(directory, "new.raw"), "else");
      renameSync(join(directory, "new.raw"), path);
      expect(() => openSharedImages(shared)).toThrow(expect.objectContaining({ code: "ERR_IMG_DENIED" }));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
