import { describe, expect, test } from "vitest";
import {
  allowWithin,
  FormatRegistry,
  MemoryStorage,
  openerByScheme,
  openerForLocation,
  openerFromFunctions,
  OpenChain,
  runAsync,
  runSync,
  type StorageOpener,
} from "../src/index.ts";

function recording(name: string, opened: string[]): StorageOpener {
  return openerFromFunctions({
    open: (location, { writable }) => {
      opened.push(`${name} opens ${location}${writable ? " to write" : ""}`);
      return new MemoryStorage();
    },
    canonical: async (location) => `${name}:${location}`,
  });
}

describe("openerByScheme", () => {
  test("lets the scheme decide, and the other opener have everything else", async () => {
    const opened: string[] = [];
    const opener = openerByScheme({ kv: recording("kv", opened) }, recording("file", opened));
    for (const location of ["kv:a", "KV://b", "/kv:c", "./kv:d", "kvs:e", "C:\\kv:f", "kv"]) {
      await runAsync(opener.open(location, { writable: location === "kv:a" }));
    }
    expect(opened).toEqual([
      "kv opens kv:a to write",
      "kv opens KV://b",
      "file opens /kv:c",
      "file opens ./kv:d",
      "file opens kvs:e",
      "file opens C:\\kv:f",
      "file opens kv",
    ]);
    expect(await runAsync(opener.canonical("kv:a"))).toBe("kv:kv:a");
    expect(await runAsync(opener.canonical("a"))).toBe("file:a");
  });

  test("knows no scheme that the table only inherits", () => {
    expect(openerForLocation("constructor:a", {})).toBeUndefined();
    expect(openerForLocation("tostring:a", {})).toBeUndefined();
  });
});

describe("openerFromFunctions", () => {
  test("is refused by name in the synchronous world", () => {
    const opener = recording("kv", []);
    expect(() => runSync(opener.open("kv:a", { writable: false }))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY", message: expect.stringContaining("kv:a") as string }),
    );
  });

  test("reports what a plain function throws like what an async one rejects with", async () => {
    const error = new RangeError("no such thing");
    const opener = openerFromFunctions({
      open: () => {
        throw error;
      },
    });
    await expect(runAsync(opener.open("kv:a", { writable: false }))).rejects.toBe(error);
  });

  test("without canonical: what is compared by location stays closed", async () => {
    const opened: string[] = [];
    const kv = openerFromFunctions({
      open: (location) => {
        opened.push(location);
        return new MemoryStorage();
      },
    });
    const opener = openerByScheme({ kv }, recording("file", opened));
    const gate = allowWithin("/images", { opener, formats: new FormatRegistry([]) });
    const reference = {
      kind: "data-file",
      name: "kv:/images/a",
      location: "kv:/images/a",
      format: "raw",
      writable: false,
      from: new MemoryStorage(),
      chain: new OpenChain(),
    } as const;
    await expect(runAsync(gate.openStorage(reference))).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(opened).toEqual([]);
  });
});
