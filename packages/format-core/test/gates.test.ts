import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import {
  allowAll,
  allowWithin,
  defaultDepthLimit,
  defineFormat,
  denyAll,
  FormatRegistry,
  gateFromFunctions,
  ImgError,
  MemoryStorage,
  OpenChain,
  readStorage,
  runAsync,
  runSync,
  type Format,
  type ImplicitReference,
  type Io,
  type OpenGate,
  type Storage,
  type StorageOpener,
} from "../src/index.ts";
import { BlockDriver } from "./helpers/block-driver.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";

/** A format whose images are `LINK <name of the backing image>` or `END`. */
const link: Format = defineFormat({
  name: "link",
  extensions: [".link"],
  probeLength: 4,
  probe: (header) => (text(header) === "LINK" ? 100 : 0),
  *open(storage, options) {
    const chain = (options.chain ?? new OpenChain()).enter(storage);
    const contents = new Uint8Array(storage.size);
    yield* readStorage(storage, IoVector.single(contents), 0);
    const [, name = "", format] = text(contents).split(" ");
    const reference: ImplicitReference = {
      kind: "backing",
      name,
      location: storage.resolve?.(name) ?? name,
      format,
      writable: false,
      from: storage,
      chain,
    };
    const backing =
      options.backing === undefined ? yield* (options.gate ?? denyAll).openImage(reference) : options.backing;
    return new BlockDriver(storage, { size: 10, backing, writable: options.writable ?? false });
  },
});

const end: Format = defineFormat({
  name: "end",
  extensions: [],
  probeLength: 3,
  probe: (header) => (text(header) === "END" ? 100 : 0),
  *open(storage, options) {
    options.chain?.enter(storage);
    return new BlockDriver(storage, { size: 10, writable: options.writable ?? false });
  },
});

const formats = new FormatRegistry([link, end]);

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Files in memory; values that begin with `->` are links. */
class Files implements StorageOpener {
  readonly opened: string[] = [];
  readonly storages: MemoryStorage[] = [];
  readonly #files: Readonly<Record<string, string>>;

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = files;
  }

  *open(location: string, options: { readonly writable: boolean }): Io<Storage> {
    const contents = this.#files[location];
    if (contents === undefined) throw new ImgError("ENOENT", `no file ${location}`);
    this.opened.push(`${location}${options.writable ? " for writing" : ""}`);
    const storage = new MemoryStorage(new TextEncoder().encode(contents), {
      location,
      identity: location,
      writable: options.writable,
    });
    this.storages.push(storage);
    return storage;
  }

  *canonical(location: string): Io<string> {
    const parts: string[] = [];
    for (const part of location.split("/")) {
      if (part === "..") parts.pop();
      else if (part !== "" && part !== ".") parts.push(part);
      const target = this.#files[`/${parts.join("/")}`];
      if (target?.startsWith("->") === true) parts.splice(0, Infinity, ...target.slice(3).split("/"));
    }
    return `/${parts.join("/")}`;
  }
}

function reference(name: string, overrides: Partial<ImplicitReference> = {}): ImplicitReference {
  const from = new MemoryStorage(undefined, { location: "/vm/top.link" });
  return {
    kind: "backing",
    name,
    location: from.resolve?.(name) ?? name,
    format: undefined,
    writable: false,
    from,
    chain: new OpenChain().enter(from),
    ...overrides,
  };
}

const denied = { code: "ERR_IMG_DENIED" };

describe.each(bothWorlds)("gates in the $name world", ({ run }) => {
  it("deny by default, and say who wanted what", async () => {
    const storage = new MemoryStorage(new TextEncoder().encode("LINK /etc/passwd"), { label: "top" });
    await expect(run(link.openIo(storage))).rejects.toMatchObject({
      ...denied,
      message: 'top wants to open its backing image "/etc/passwd": no gate allows it',
      subject: "/etc/passwd",
    });
    await expect(run(denyAll.openStorage(reference("data", { kind: "data-file" })))).rejects.toThrow("its data file");
    // what the user gives isn't asked about
    expect((await run(link.openIo(storage, { backing: null }))).driver.backing).toBeNull();
  });

  it("open chains of images when all is allowed, the ones below read-only", async () => {
    const files = new Files({ "/vm/a": "LINK sub/b", "/vm/sub/b": "LINK ../c", "/vm/c": "END" });
    const gate = allowAll({ opener: files, formats });
    const image = await run(gate.openImage(reference("a")));
    expect(files.opened).toEqual(["/vm/a", "/vm/sub/b", "/vm/c"]);
    expect(image.storages().map(({ location }) => location)).toEqual(files.opened);
    expect(image.storages().every(({ writable }) => !writable)).toBe(true);
  });

  it("open data files for writing when the image is", async () => {
    const files = new Files({ "/vm/data": "x" });
    const gate = allowAll({ opener: files, formats });
    await run(gate.openStorage(reference("data", { kind: "data-file", writable: true })));
    await run(gate.openStorage(reference("data", { kind: "data-file" })));
    expect(files.opened).toEqual(["/vm/data for writing", "/vm/data"]);
  });

  it("open only what really lies within a directory", async () => {
    const files = new Files({
      "/vm/inside": "END",
      "/vm/deep/er": "END",
      "/vm/link": "-> secret/x",
      "/vm/dir": "-> secret",
      "/vmware/x": "END",
      "/secret/x": "END",
      "/vm": "",
    });
    const gate = allowWithin("/vm", { opener: files, formats });
    await run(gate.openImage(reference("inside")));
    await run(gate.openImage(reference("/vm/../vm/deep/./er")));
    const opened = files.opened.length;
    for (const name of ["/secret/x", "../secret/x", "link", "dir/x", "/vmware/x", "/vm/../secret/x", "..", "/vm"]) {
      await expect(run(gate.openImage(reference(name)))).rejects.toMatchObject({ ...denied, subject: name });
      await expect(run(gate.openStorage(reference(name, { kind: "data-file" })))).rejects.toMatchObject(denied);
    }
    expect(files.opened).toHaveLength(opened);
    await run(gate.openStorage(reference("inside", { kind: "data-file", writable: true })));
    expect(files.opened.at(-1)).toBe("/vm/inside for writing");
  });

  it("follow a link of the directory itself, and allow all of the root", async () => {
    const files = new Files({ "/real/x": "END", "/shown": "-> real" });
    await run(allowWithin("/shown", { opener: files, formats }).openImage(reference("/real/x")));
    await run(allowWithin("/", { opener: files, formats }).openImage(reference("/real/x")));
    expect(files.opened).toEqual(["/real/x", "/real/x"]);
  });

  it("judge what a permitted image opens in turn", async () => {
    const files = new Files({ "/vm/a": "LINK ../outside", "/outside": "END" });
    const gate = allowWithin("/vm", { opener: files, formats });
    await expect(run(gate.openImage(reference("a")))).rejects.toMatchObject({ ...denied, subject: "../outside" });
    expect(files.opened).toEqual(["/vm/a"]);
    // what was opened on the way is closed
    expect(() => files.storages[0]!.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
  });

  it("find images that refer to each other in a loop", async () => {
    const files = new Files({ "/vm/a": "LINK b", "/vm/b": "LINK ./a", "/vm/self": "LINK self" });
    const gate = allowAll({ opener: files, formats });
    await expect(run(gate.openImage(reference("a")))).rejects.toMatchObject({
      code: "ERR_IMG_CORRUPT",
      message: expect.stringMatching(/loop: .*a.* → .*b.* → .*a/) as string,
    });
    await expect(run(gate.openImage(reference("self")))).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
    expect(files.opened.length).toBeLessThanOrEqual(5);
    for (const storage of files.storages) {
      expect(() => storage.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
    }
  });

  it("stop at a depth that nobody needs", async () => {
    const deep = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`/vm/${index}`, `LINK ${index + 1}`]));
    const files = new Files(deep);
    await expect(run(allowAll({ opener: files, formats }).openImage(reference("0")))).rejects.toMatchObject({
      code: "ERR_IMG_LIMIT",
      message: expect.stringContaining("64 images deep") as string,
    });
    expect(files.opened.length).toBe(defaultDepthLimit);
  });

  it("take the recorded format, and guess or refuse as told where none is", async () => {
    const files = new Files({ "/vm/a": "END", "/vm/b": "neither" });
    const gate = allowAll({ opener: files, formats, unknownFormat: "refuse" });
    await expect(run(gate.openImage(reference("a")))).rejects.toMatchObject(denied);
    expect(files.opened).toEqual([]);
    expect((await run(gate.openImage(reference("a", { format: "end" })))).driver.format).toBe("blocks");
    const guess = allowAll({ opener: files, formats });
    await run(guess.openImage(reference("a")));
    const unknown = { code: "ERR_IMG_UNKNOWN_FORMAT" };
    await expect(run(guess.openImage(reference("b")))).rejects.toMatchObject(unknown);
    await expect(run(guess.openImage(reference("a", { format: "vdi" })))).rejects.toMatchObject(unknown);
    expect(() => files.storages.at(-1)!.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
  });
});

describe("a gate made of plain functions", () => {
  const image = (): Promise<never> => Promise.reject(new Error("only so far"));
  const gate: OpenGate = gateFromFunctions({
    openStorage: (asked) => new MemoryStorage(undefined, { label: asked.name }),
    openImage: image,
  });

  it("works with promises", async () => {
    expect((await runAsync(gate.openStorage(reference("data")))).label).toBe("data");
    await expect(runAsync(gate.openImage(reference("x")))).rejects.toThrow("only so far");
  });

  it("is refused in the synchronous world", () => {
    expect(() => runSync(gate.openStorage(reference("data")))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }),
    );
  });
});

describe("OpenChain", () => {
  it("knows an object on the host by its identity, and otherwise only itself", () => {
    const chain = new OpenChain().enter(new MemoryStorage(undefined, { identity: "1:5" }));
    expect(() => chain.enter(new MemoryStorage(undefined, { identity: "1:5" }))).toThrow("loop");
    expect(chain.enter(new MemoryStorage(undefined, { identity: "1:6" })).depth).toBe(2);
    const nameless = new MemoryStorage();
    expect(chain.enter(nameless).enter(new MemoryStorage()).depth).toBe(3);
    expect(() => chain.enter(nameless).enter(nameless)).toThrow(expect.objectContaining({ code: "ERR_IMG_CORRUPT" }));
  });

  it("doesn't change when an image enters", () => {
    const chain = new OpenChain(2);
    const one = chain.enter(new MemoryStorage());
    one.enter(new MemoryStorage());
    expect([chain.depth, one.depth]).toEqual([0, 1]);
    expect(() => one.enter(new MemoryStorage()).enter(new MemoryStorage())).toThrow(
      expect.objectContaining({ code: "ERR_IMG_LIMIT" }),
    );
  });
});
