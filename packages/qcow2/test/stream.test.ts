import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { MemoryStorage, runAsync, runSync, type Io } from "@img/format-core";
import { SeededRandom } from "@img/testing";
import { afterAll, describe, expect, it } from "vitest";
import {
  checkImage,
  planStream,
  qcow2,
  type ImageStream,
  type Qcow2StreamOptions,
  type StreamExtent,
  type StreamSource,
} from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

const directory = new ScratchDirectory();
afterAll(() => {
  directory[Symbol.dispose]();
});

type Kind = StreamExtent["kind"];

/** A disk that is made of extents, which count what is asked of them. */
class ExtentDisk implements StreamSource {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly extents: readonly { readonly kind: Kind; readonly length: number }[];
  asked = 0;

  /** @param base - what lies below; where a disk is unallocated, it shows that */
  constructor(extents: readonly StreamExtent[], random: SeededRandom, base?: Uint8Array) {
    this.extents = extents;
    this.size = extents.reduce((sum, { length }) => sum + length, 0);
    this.bytes = new Uint8Array(this.size);
    let at = 0;
    for (const { kind, length } of extents) {
      if (kind === "data") {
        this.bytes.set(random.bytes(length), at);
      } else if (kind === "unallocated" && base !== undefined) {
        this.bytes.set(base.subarray(at, at + length), at);
      }
      at += length;
    }
  }

  *extentAt(offset: number, length: number): Io<StreamExtent> {
    this.asked++;
    let at = 0;
    for (const extent of this.extents) {
      at += extent.length;
      if (offset < at) {
        return { kind: extent.kind, length: Math.min(at - offset, length) };
      }
    }
    throw new Error(`asked about ${String(offset)}, past the end`);
  }

  *read(into: Uint8Array, offset: number): Io<void> {
    if (offset + into.length > this.size) {
      throw new Error(`asked for bytes up to ${String(offset + into.length)}, past the end`);
    }
    into.set(this.bytes.subarray(offset, offset + into.length));
  }
}

/** A disk without bytes: each is what its sector's number says. */
function hugeSource(size: number, extentAt: (offset: number) => StreamExtent): StreamSource {
  return {
    size,
    *extentAt(offset, length) {
      const extent = extentAt(offset);
      return { kind: extent.kind, length: Math.min(extent.length, length, size - offset) };
    },
    *read(into, offset) {
      into.fill(1 + (Math.floor(offset / 512) % 255));
    },
  };
}

function* collect(stream: ImageStream): Io<Uint8Array> {
  const bytes = new Uint8Array(stream.length);
  let at = 0;
  for (;;) {
    const chunk = yield* stream.next();
    if (chunk === undefined) {
      expect(at).toBe(stream.length);
      expect(stream.position).toBe(stream.length);
      return bytes;
    }
    bytes.set(chunk, at);
    at += chunk.length;
  }
}

const streamed = (source: StreamSource, options: Qcow2StreamOptions): Uint8Array =>
  runSync(collect(runSync(planStream(source, options))));

function randomExtents(random: SeededRandom, size: number, unit: number): StreamExtent[] {
  const extents: { kind: Kind; length: number }[] = [];
  for (let at = 0; at < size;) {
    const kind = random.pick<Kind>(["data", "zero", "unallocated"]);
    const most = random.pick([unit, unit * 4, unit * 70]);
    const aligned = random.chance(0.5) ? unit : 512;
    const length = Math.min(Math.max(512, Math.floor(random.integer(0, most) / aligned) * aligned), size - at);
    extents.push({ kind, length });
    at += length;
  }
  return extents;
}

const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

interface Case {
  readonly options: Qcow2StreamOptions;
  readonly size: number;
  readonly backed: boolean;
}

const cases: Case[] = [512, 4096, 65536, 2 * 1024 * 1024].flatMap((clusterSize, index) =>
  [false, true].flatMap((backed) => {
    // several L2 tables with small clusters; with large ones a cluster that the disk's end cuts
    const size =
      (clusterSize <= 4096 ? 3 * clusterSize * (clusterSize / 8) * (clusterSize === 512 ? 7 : 1) : 24 * clusterSize) +
      1536;
    const bounded = Math.min(size, 12 * 1024 * 1024);
    const forms: Qcow2StreamOptions[] = [
      { compat: "0.10" },
      { refcountBits: 1, lazyRefcounts: true },
      { refcountBits: [2, 8, 32, 64][index] ?? 16, compressionType: "zstd" },
      ...(clusterSize >= 16384 ? [{ extendedL2: true, refcountBits: 4 }] : []),
    ];
    return forms.map((form) => ({ options: { clusterSize, ...form }, size: bounded, backed }));
  }),
);

describe("a qcow2 image that is streamed", () => {
  it.each(cases)("is what qemu-img finds sound and equal: $options, $size bytes, backed: $backed", (each) => {
    const { options, size, backed } = each;
    const random = new SeededRandom(size + Object.keys(options).length);
    const base = backed ? random.bytes(size) : undefined;
    const disk = new ExtentDisk(
      randomExtents(random, size, options.extendedL2 === true ? options.clusterSize! / 32 : options.clusterSize!),
      random,
      base,
    );
    const [baseFile, rawFile, file] = ["base.raw", "disk.raw", "disk.qcow2"].map((name) => directory.file(name));
    if (base !== undefined) {
      writeFileSync(baseFile!, base);
    }
    const all = {
      ...options,
      chunkSize: random.pick([512, 4096, 100_000, 1024 * 1024]),
      ...(backed ? { backingFile: { name: baseFile!, format: "raw" } } : {}),
    };
    const bytes = streamed(disk, all);
    writeFileSync(file!, bytes);
    writeFileSync(rawFile!, disk.bytes);
    expect(runTool("qemu-img", ["check", file!]).stdout).toContain("No errors were found");
    runTool("qemu-img", ["compare", "-F", "qcow2", "-f", "raw", rawFile!, file!]);
    // other chunks, and no memory for runs, give the same bytes
    expect(sha(streamed(disk, { ...all, chunkSize: 65536, memory: 0 }))).toBe(sha(bytes));
  });

  it("is the same whoever drives it, and is read by us as well", async () => {
    const random = new SeededRandom(3);
    const disk = new ExtentDisk(randomExtents(random, 3 * 1024 * 1024 + 512, 4096), random);
    const bytes = streamed(disk, { clusterSize: 4096 });
    const stream = await runAsync(planStream(disk, { clusterSize: 4096 }));
    expect(sha(await runAsync(collect(stream)))).toBe(sha(bytes));
    const storage = new MemoryStorage(bytes);
    const { corruptions, leaks, checkErrors } = await runAsync(checkImage(storage));
    expect({ corruptions, leaks, checkErrors }).toEqual({ corruptions: 0, leaks: 0, checkErrors: 0 });
    const image = await qcow2.open(new MemoryStorage(bytes), { writable: true });
    const shown = new Uint8Array(disk.size);
    await image.read(shown, 0);
    expect(sha(shown)).toBe(sha(disk.bytes));
    // entries say that nobody else uses what they point to, so that it is written in place
    await image.write(Uint8Array.of(1, 2, 3), 77);
    await image.close();
  });

  it("has a length for a disk of size 0, too", () => {
    const empty = hugeSource(0, () => ({ kind: "data", length: 1 }));
    const file = directory.file("empty.qcow2");
    writeFileSync(file, streamed(empty, {}));
    expect(runTool("qemu-img", ["check", file]).stdout).toContain("No errors were found");
  });

  it("of 16 TiB that is nearly empty is as short as what is in it, and asks for that once", () => {
    const size = 2 ** 44;
    const places = [0, 2 ** 32 + 65536, 2 ** 43, size - 65536];
    let asked = 0;
    const source = hugeSource(size, (offset) => {
      asked++;
      if (places.includes(offset)) {
        return { kind: "data", length: 65536 };
      }
      return { kind: "unallocated", length: (places.find((place) => place > offset) ?? size) - offset };
    });
    const stream = runSync(planStream(source, {}));
    const planned = asked;
    // header, refcount table and block, 32768 L1 entries, four L2 tables, four data clusters
    expect(stream.length).toBe((1 + 1 + 1 + 4 + 4 + 4) * 65536);
    const file = directory.file("huge.qcow2");
    writeFileSync(file, runSync(collect(stream)));
    expect(asked).toBe(planned);
    expect(planned).toBeLessThan(10);
    expect(runTool("qemu-img", ["check", file]).stdout).toContain("No errors were found");
    const map = JSON.parse(runTool("qemu-img", ["map", "--output=json", file]).stdout) as {
      readonly start: number;
      readonly data: boolean;
    }[];
    expect(map.filter(({ data }) => data).map(({ start }) => start)).toEqual(places);
  });

  it("knows the length of a fragmented disk whose runs don't fit into its memory", () => {
    const clusterSize = 512;
    const count = 40_000;
    let asked = 0;
    const source = hugeSource(count * clusterSize, (offset) => {
      asked++;
      return { kind: (offset / clusterSize) % 2 === 0 ? "data" : "unallocated", length: clusterSize };
    });
    const bytes = streamed(source, { clusterSize, memory: 8192 });
    expect(asked).toBe(3 * count);
    asked = 0;
    expect(sha(streamed(source, { clusterSize }))).toBe(sha(bytes));
    expect(asked).toBe(count);
  });
});

describe("a source that isn't what it was", () => {
  const clusterSize = 512;
  const size = 1000 * clusterSize;

  /** Alternates, but for one cluster that is another kind from the walk on that `when` says. */
  function changing(when: number, odd: number): StreamSource {
    let walks = 0;
    return hugeSource(size, (offset) => {
      walks += offset === 0 ? 1 : 0;
      const isData = (offset / clusterSize) % 2 === 0;
      const isOdd = walks >= when && offset === odd * clusterSize;
      return { kind: isData === isOdd ? "unallocated" : "data", length: clusterSize };
    });
  }

  function outcome(source: StreamSource): { readonly given: number; readonly length: number; readonly error: unknown } {
    const stream = runSync(planStream(source, { clusterSize, memory: 0, chunkSize: 4096 }));
    let given = 0;
    try {
      for (;;) {
        const chunk = runSync(stream.next());
        if (chunk === undefined) {
          return { given, length: stream.length, error: undefined };
        }
        given += chunk.length;
      }
    } catch (error) {
      expect(() => runSync(stream.next())).toThrow(error);
      return { given, length: stream.length, error };
    }
  }

  it.each([
    [2, 10],
    [2, 11],
    [2, 999],
    [3, 10],
    [3, 11],
    [3, 999],
  ])("is never a complete image: walk %i, cluster %i", async (walk, cluster) => {
    const { given, length, error } = outcome(changing(walk, cluster));
    expect(given).toBeLessThan(length);
    await expectImgError("ERR_IMG_BUSY", "changed while it was streamed", () => {
      throw error as Error;
    });
  });

  it("is never complete when it was only moved, either", async () => {
    let walks = 0;
    const source = hugeSource(size, (offset) => {
      walks += offset === 0 ? 1 : 0;
      const cluster = offset / clusterSize;
      // the last walk finds as much data, elsewhere
      return { kind: cluster === (walks < 3 ? 500 : 501) ? "data" : "unallocated", length: clusterSize };
    });
    const { given, length, error } = outcome(source);
    expect(given).toBeLessThan(length);
    await expectImgError("ERR_IMG_BUSY", "changed", () => {
      throw error as Error;
    });
  });

  it("fails for good when it can't be read", () => {
    const source: StreamSource = {
      ...hugeSource(size, () => ({ kind: "data", length: size })),
      *read(into, offset) {
        if (offset + into.length >= size) {
          throw new Error("the last sector is bad");
        }
      },
    };
    const { given, length, error } = outcome(source);
    expect(given).toBeLessThan(length);
    expect(String(error)).toContain("the last sector is bad");
  });

  it("is refused when its extents are no extents", () => {
    for (const length of [0, size + 1, Number.NaN]) {
      const source: StreamSource = {
        ...hugeSource(size, () => ({ kind: "data", length: 1 })),
        *extentAt() {
          return { kind: "data", length };
        },
      };
      expect(() => runSync(planStream(source, {}))).toThrow(RangeError);
    }
  });
});

describe("what can't be streamed", () => {
  const source = hugeSource(1024 * 1024, () => ({ kind: "unallocated", length: Infinity }));

  it.each([
    ["compressed", { compressed: true }],
    ["preallocation", { preallocation: "metadata" }],
    ["dataFileName", { dataFileName: "data.raw" }],
    ["dataFileRaw", { dataFileRaw: true }],
  ])("is refused by name: %s", async (feature, options) => {
    const error = await expectImgError("ERR_IMG_UNSUPPORTED", feature, () =>
      runSync(planStream(source, options as Qcow2StreamOptions)),
    );
    expect(error.feature).toBe(feature);
  });

  it("is what no image could hold", async () => {
    await expectImgError("ERR_IMG_LIMIT", "L1 table", () => {
      const huge = hugeSource(2 ** 44, () => ({ kind: "unallocated", length: 2 ** 44 }));
      return runSync(planStream(huge, { clusterSize: 512 }));
    });
    await expectImgError("ERR_IMG_LIMIT", "refcount table", () => {
      const full = hugeSource(2 ** 36, () => ({ kind: "data", length: 2 ** 36 }));
      return runSync(planStream(full, { clusterSize: 512, refcountBits: 64 }));
    });
    await expectImgError("ERR_IMG_UNSUPPORTED", "extended L2", () =>
      runSync(planStream(source, { compat: "0.10", extendedL2: true })),
    );
  });

  it("isn't taken for a mistake of the caller", () => {
    expect(() => runSync(planStream(source, { chunkSize: 100 }))).toThrow(RangeError);
    expect(() => runSync(planStream(source, { memory: -1 }))).toThrow(RangeError);
  });
});
