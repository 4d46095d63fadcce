import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileStorage } from "@img/storage-fs";
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest";
import { convertImages } from "../src/node.ts";

// a host that doesn't say beforehand that names can't be taken
vi.mock("../src/node/host-files.ts", async (original) => ({
  ...(await original<typeof import("../src/node/host-files.ts")>()),
  rename: () => Promise.reject(Object.assign(new Error("EBUSY: resource busy or locked"), { code: "EBUSY" })),
}));

const disk = Buffer.concat([Buffer.alloc(2 ** 20, "data "), Buffer.alloc(2 ** 22), Buffer.alloc(2 ** 20 + 512, "x")]);
const root = mkdtempSync(join(tmpdir(), "img-kept-"));
let directory: string;

const at = (name: string): string => join(directory, name);
const convert = (): Promise<unknown> =>
  convertImages({
    sources: [{ path: join(root, "disk.raw"), format: "raw" }],
    target: { path: at("target.raw"), format: "raw" },
    threads: 1,
  });

beforeEach(() => {
  writeFileSync(join(root, "disk.raw"), disk);
  directory = mkdtempSync(join(root, "case-"));
  writeFileSync(at("target.raw"), Buffer.alloc(2 ** 23, "what was there"));
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

it("a file whose name the host keeps gets what is in the new one, holes included", async () => {
  const before = statSync(at("target.raw")).ino;
  const sync = vi.spyOn(FileStorage.prototype, "sync");
  await convert();
  expect(readFileSync(at("target.raw")).equals(disk)).toBe(true);
  expect(statSync(at("target.raw")).ino).toBe(before);
  expect(statSync(at("target.raw")).blocks * 512).toBeLessThan(disk.length);
  expect(sync).toHaveBeenCalledTimes(2);
  expect(readdirSync(directory)).toEqual(["target.raw"]);
});

it("when that fails too, the new one stays, and its name is told", async () => {
  const { resize } = FileStorage.prototype;
  vi.spyOn(FileStorage.prototype, "resize").mockImplementation(function (this: FileStorage, ...words) {
    return this.label.includes(".part")
      ? resize.apply(this, words)
      : Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" }));
  });
  const failure: unknown = await convert().then(
    () => undefined,
    (error: unknown) => error,
  );
  const part = readdirSync(directory).find((name) => name.endsWith(".part")) ?? "none";
  expect(failure).toMatchObject({ code: "ENOSPC" });
  expect(String(failure)).toContain(`all of the new file is in ${at(part)}`);
  expect(readFileSync(at(part)).equals(disk)).toBe(true);
});
