import { isImgError, runAsync, runSync, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BridgeOpener, type BridgeOpenerOptions } from "../src/index.ts";
import { buildWorker, type BuiltWorker } from "./support/built-worker.ts";

let built: BuiltWorker;
beforeAll(async () => {
  built = await buildWorker();
});
afterAll(() => {
  built.remove();
});

function opener(options: BridgeOpenerOptions = {}): BridgeOpener {
  const images = { "/a": Uint8Array.of(1, 2, 3), "/b": Uint8Array.of(4, 5) };
  return new BridgeOpener(built.fixture("storages"), {
    workerEntry: built.workerEntry,
    export: "openByName",
    options: { images },
    ...options,
  });
}

/** Both ways to drive an operation. */
const worlds: readonly (readonly [name: string, run: <T>(io: Io<T>) => T | Promise<T>])[] = [
  ["synchronous", runSync],
  ["asynchronous", runAsync],
];

describe.each(worlds)("an opener in the %s world", (_, run) => {
  it("opens several storages, which it knows apart", async () => {
    await using source = opener();
    await using a = await run(source.open("/a", { writable: false }));
    await using b = await run(source.open("/b", { writable: true }));
    expect([a.location, a.writable, a.size]).toEqual(["/a", false, 3]);
    expect([b.location, b.writable, b.size]).toEqual(["/b", true, 2]);
    const read = IoVector.single(new Uint8Array(4));
    await a.read(read, 0);
    expect([...read.toUint8Array()]).toEqual([1, 2, 3, 0]);
    await b.read(read, 1);
    expect([...read.toUint8Array()]).toEqual([5, 0, 0, 0]);
  });

  it("says what isn't there, and goes on", async () => {
    await using source = opener();
    const nothing = (async () => run(source.open("/c", { writable: false })))();
    await expect(nothing).rejects.toMatchObject({ code: "ENOENT", subject: "/c" });
    await using a = await run(source.open("/a", { writable: false }));
    expect(a.size).toBe(3);
  });

  it("gives the one true spelling of a location, as its module knows it", async () => {
    await using source = opener();
    expect(await run(source.canonical("/x/./y/././z"))).toBe("/x/y/z");
    await using silent = opener({ canonicalExport: "absent" });
    const unknown = (async () => run(silent.canonical("/x")))();
    await expect(unknown).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });
});

describe("an opener", () => {
  it("ends with the last of its storages, and opens no more once it is closed", async () => {
    const source = opener();
    const a = runSync(source.open("/a", { writable: false }));
    source[Symbol.dispose]();
    await source[Symbol.asyncDispose]();
    const read = IoVector.single(new Uint8Array(3));
    await a.read(read, 0);
    expect([...read.toUint8Array()]).toEqual([1, 2, 3]);
    expect(() => runSync(source.open("/b", { writable: false }))).toThrow("is closed");
    await a[Symbol.asyncDispose]();
    const outcome = await Promise.allSettled([a.read(read, 0)]);
    expect(isImgError((outcome[0] as PromiseRejectedResult).reason, "ERR_IMG_CLOSED")).toBe(true);
  });

  it("can be asked whether its module is there", async () => {
    await using source = opener();
    await source.ready();
    await using other = opener({ export: "absent" });
    await expect(other.ready()).rejects.toThrow(TypeError);
    await using broken = new BridgeOpener(built.fixture("throws"), { workerEntry: built.workerEntry });
    await expect(broken.ready()).rejects.toMatchObject({ code: "ERR_BROKEN" });
  });
});
