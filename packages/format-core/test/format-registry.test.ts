import { describe, expect, it } from "vitest";
import {
  defineFormat,
  FormatRegistry,
  MemoryStorage,
  runSync,
  type CreateOptions,
  type Format,
  type FormatDriver,
  type OpenOptions,
} from "../src/index.ts";
import { BlockDriver } from "./helpers/block-driver.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { WatchedStorage } from "./helpers/watched-storage.ts";

const opened: { name: string; options: OpenOptions }[] = [];

function stub(
  name: string,
  probe: (header: Uint8Array) => number,
  probeLength: number = 4,
  aliases: string[] = [],
): Format {
  return defineFormat<FormatDriver, OpenOptions, CreateOptions>({
    name,
    aliases,
    extensions: [`.${name}`],
    probeLength,
    probe,
    *open(storage, options) {
      opened.push({ name, options });
      return new BlockDriver(storage, { size: 100, writable: options.writable ?? false });
    },
  });
}

const starts = (byte: number, score: number) => (header: Uint8Array) => (header[0] === byte ? score : 0);
const any = stub("any", () => 1, 0, ["raw"]);
const one = stub("one", starts(1, 100));
const registry = new FormatRegistry([
  any,
  one,
  stub("maybe", starts(1, 50), 512),
  stub("two", starts(2, 80)),
  stub("zwei", starts(2, 80)),
]);

describe("FormatRegistry", () => {
  it("finds formats by name and alias, and says which it knows", () => {
    expect(registry.get("one")).toBe(one);
    expect(registry.get("raw")).toBe(any);
    expect(() => registry.get("vdi")).toThrow(
      expect.objectContaining({
        code: "ERR_IMG_UNKNOWN_FORMAT",
        message: 'unknown format "vdi": expected one of any, one, maybe, two, zwei',
      }),
    );
    expect(() => registry.get("constructor")).toThrow("unknown format");
  });

  it("refuses two formats of one name", () => {
    expect(() => new FormatRegistry([any, stub("raw", () => 1)])).toThrow(RangeError);
    expect(() => new FormatRegistry([one, one])).toThrow('two formats are called "one"');
  });

  it("looks at as many bytes as its formats want, and shows each no more than it wants", () => {
    expect(registry.probeLength).toBe(512);
    expect(new FormatRegistry([]).probeLength).toBe(0);
    const seen: number[] = [];
    const curious = new FormatRegistry([
      stub("a", (header) => seen.push(header.length) * 0, 3),
      stub("b", (header) => seen.push(header.length), 10),
    ]);
    curious.probeHeader(new Uint8Array(100));
    curious.probeHeader(new Uint8Array(5));
    expect(seen).toEqual([3, 10, 3, 5]);
  });

  it("takes the format that is surest", () => {
    expect(registry.probeHeader(Uint8Array.of(1, 2, 3))).toEqual({ format: one, score: 100 });
    expect(registry.probeHeader(new Uint8Array())).toEqual({ format: any, score: 1 });
  });

  it("refuses what two formats are equally sure of, and what none knows", () => {
    expect(() => registry.probeHeader(Uint8Array.of(2))).toThrow(
      expect.objectContaining({
        code: "ERR_IMG_UNKNOWN_FORMAT",
        message: "the contents look like two and like zwei: name the format",
      }),
    );
    expect(() => new FormatRegistry([one]).probeHeader(Uint8Array.of(9))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_UNKNOWN_FORMAT", message: "the contents are of no known format" }),
    );
  });
});

describe.each(bothWorlds)("opening through a registry in the $name world", ({ run }) => {
  it("reads the header once, however short the storage", async () => {
    for (const length of [0, 3, 512, 5000]) {
      const storage = new WatchedStorage(new MemoryStorage(new Uint8Array(length)));
      expect((await run(registry.probeIo(storage))).format).toBe(any);
      expect(storage.of("read").map((call) => call.length)).toEqual(length === 0 ? [] : [Math.min(length, 512)]);
    }
  });

  it("guesses for reading, and lets the image know that it was guessed", async () => {
    opened.length = 0;
    const image = await run(registry.openIo(new MemoryStorage(Uint8Array.of(1))));
    expect([image.writable, opened[0]?.name, opened[0]?.options.probedAmong]).toEqual([false, "one", registry]);
  });

  it("doesn't guess for writing unless told to", async () => {
    const storage = new WatchedStorage(new MemoryStorage(Uint8Array.of(1)));
    await expect(run(registry.openIo(storage, { writable: true }))).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    expect(storage.calls).toEqual([]);
    const image = await run(registry.openIo(storage, { writable: true, writeProbed: true }));
    expect([image.writable, opened.at(-1)?.options.probedAmong]).toEqual([true, registry]);
  });

  it("takes the format that is named, whatever the contents look like", async () => {
    opened.length = 0;
    const storage = new WatchedStorage(new MemoryStorage(Uint8Array.of(1)));
    const image = await run(registry.openIo(storage, { writable: true, format: "raw" }));
    expect([image.writable, opened[0]?.name, opened[0]?.options.probedAmong]).toEqual([true, "any", undefined]);
    expect(storage.calls).toEqual([]);
    await expect(run(registry.openIo(storage, { format: "nope" }))).rejects.toMatchObject({
      code: "ERR_IMG_UNKNOWN_FORMAT",
    });
  });
});

describe("defineFormat", () => {
  it("tells what the format is and can", () => {
    expect([any.name, any.aliases, any.extensions, any.probeLength, any.canCreate]).toEqual([
      "any",
      ["raw"],
      [".any"],
      0,
      false,
    ]);
    expect(any.probe(new Uint8Array())).toBe(1);
  });

  it("opens with promises, honouring a signal", async () => {
    const image = await any.open(new MemoryStorage());
    expect(image.size).toBe(100);
    const probed = await registry.open(new MemoryStorage(Uint8Array.of(1)), { signal: new AbortController().signal });
    expect(probed.driver.format).toBe("blocks");
    expect((await registry.probe(new MemoryStorage(Uint8Array.of(1)))).score).toBe(100);
  });

  it("refuses to write to storages that can't be written, and to create what can't be created", () => {
    const storage = new MemoryStorage(undefined, { writable: false, label: "rom" });
    expect(() => runSync(any.openIo(storage, { writable: true }))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_READ_ONLY", subject: "rom" }),
    );
    expect(() => runSync(any.createIo(new MemoryStorage(), {}))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }),
    );
    const creatable = defineFormat<FormatDriver, OpenOptions, CreateOptions>({
      name: "creatable",
      extensions: [],
      probeLength: 0,
      probe: () => 0,
      *open(each) {
        return new BlockDriver(each, { size: 0 });
      },
      *create(each, options) {
        return new BlockDriver(each, { size: options.size ?? 0 });
      },
    });
    expect(() => runSync(creatable.createIo(storage, {}))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_READ_ONLY" }),
    );
    expect(runSync(creatable.createIo(new MemoryStorage(), { size: 77 })).size).toBe(77);
    expect(creatable.createClosedIo).toBeUndefined();
    const closing = defineFormat<FormatDriver, OpenOptions, CreateOptions>({
      name: "closing",
      extensions: [],
      probeLength: 0,
      probe: () => 0,
      *open(each) {
        return new BlockDriver(each, { size: 0 });
      },
      *createClosed(_each, options) {
        return options.size === 77;
      },
    });
    expect(() => closing.createClosedIo && runSync(closing.createClosedIo(storage, {}))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_READ_ONLY" }),
    );
    const answers = [77, 78].map(
      (size) => closing.createClosedIo && runSync(closing.createClosedIo(new MemoryStorage(), { size })),
    );
    expect(answers).toEqual([true, false]);
  });
});
