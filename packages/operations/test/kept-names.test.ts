import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileStorage } from "@img/storage-fs";
import { afterAll, afterEach, beforeEach, expect, it, vi } from "vitest";
import { compareImageFiles, convertImages, type ConvertImagesOptions } from "../src/node.ts";

/** What the host does. */
const host = vi.hoisted(() => ({
  onRename: undefined as (() => void) | undefined,
  keepsNames: false,
  /** Names can be taken, but attributes that the file has can't be given to another one. */
  keepsAttributes: false,
}));

// a host that doesn't say beforehand that names can't be taken
vi.mock("../src/node/host-files.ts", async (original) => {
  const files = await original<typeof import("../src/node/host-files.ts")>();
  const refuse = (code: string): Promise<never> => Promise.reject(Object.assign(new Error(`${code}: no`), { code }));
  return {
    ...files,
    rename: (from: string, to: string) => {
      if (host.keepsAttributes) return files.rename(from, to);
      host.onRename?.();
      return refuse("EBUSY");
    },
    unlink: (path: string) => (host.keepsNames ? refuse("EPERM") : files.unlink(path)),
  };
});

vi.mock("@img/storage-fs", async (original) => {
  const storages = await original<typeof import("@img/storage-fs")>();
  return {
    ...storages,
    copyFileAttributes: (...words: Parameters<typeof storages.copyFileAttributes>) => {
      if (host.keepsAttributes) throw Object.assign(new Error("EPERM: no"), { code: "EPERM" });
      return storages.copyFileAttributes(...words);
    },
  };
});

const disk = Buffer.concat([Buffer.alloc(2 ** 20, "data "), Buffer.alloc(2 ** 22), Buffer.alloc(2 ** 20 + 512, "x")]);
const root = mkdtempSync(join(tmpdir(), "img-kept-"));
let directory: string;

const at = (name: string): string => join(directory, name);
const parts = (): readonly string[] => readdirSync(directory).filter((name) => name.endsWith(".part"));
const convert = (more: Partial<ConvertImagesOptions> = {}): Promise<unknown> =>
  convertImages({
    sources: [{ path: join(root, "disk.raw"), format: "raw" }],
    target: { path: at("target.raw"), format: "raw" },
    threads: 1,
    ...more,
  });

/** An image in place of the target, with a data file that isn't there yet. */
const withData = (): Partial<ConvertImagesOptions> => ({
  target: { path: at("target.raw"), format: "qcow2", dataFile: at("data.raw") },
});

async function expectDisk(image: string): Promise<void> {
  const spec = { path: image, format: "qcow2", gate: "allow-all" } as const;
  const { identical } = await compareImageFiles(spec, { path: join(root, "disk.raw"), format: "raw" });
  expect(identical).toBe(true);
}

/** Nothing can be written to the file that is there. */
function failToResize(): void {
  const { resize } = FileStorage.prototype;
  vi.spyOn(FileStorage.prototype, "resize").mockImplementation(function (this: FileStorage, ...words) {
    return this.label.endsWith('target.raw"')
      ? Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" }))
      : resize.apply(this, words);
  });
}

beforeEach(() => {
  writeFileSync(join(root, "disk.raw"), disk);
  directory = mkdtempSync(join(root, "case-"));
  writeFileSync(at("target.raw"), Buffer.alloc(2 ** 23, "what was there"));
});
afterEach(() => {
  vi.restoreAllMocks();
  Object.assign(host, { onRename: undefined, keepsNames: false, keepsAttributes: false });
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

it("so does one with attributes that the new one can't have", async () => {
  host.keepsAttributes = true;
  const before = statSync(at("target.raw")).ino;
  await convert();
  expect(readFileSync(at("target.raw")).equals(disk)).toBe(true);
  expect(statSync(at("target.raw")).ino).toBe(before);
  expect(readdirSync(directory)).toEqual(["target.raw"]);
});

it("when that fails too, the new one stays, and its name is told", async () => {
  failToResize();
  const failure: unknown = await convert().then(
    () => undefined,
    (error: unknown) => error,
  );
  const [part = "none"] = parts();
  expect(failure).toMatchObject({ code: "ENOSPC" });
  expect(String(failure)).toContain(`all of the new file is in ${at(part)}`);
  expect(readFileSync(at(part)).equals(disk)).toBe(true);
});

it("the data file that the new one needs stays with it", async () => {
  failToResize();
  await expect(convert(withData())).rejects.toMatchObject({ code: "ENOSPC" });
  const [part = "none"] = parts();
  await expectDisk(at(part));
  expect(existsSync(at("data.raw"))).toBe(true);
});

it("is as good when the new one can't be removed afterwards", async () => {
  host.keepsNames = true;
  await convert(withData());
  await expectDisk(at("target.raw"));
  expect(parts()).toHaveLength(1);
});

it("is given up, and stays as it was, if that is wanted before anything is written over", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  host.onRename = () => {
    controller.abort(reason);
  };
  await expect(convert({ signal: controller.signal })).rejects.toBe(reason);
  expect(readFileSync(at("target.raw"), "utf8")).toMatch(/^(what was there)+/);
  expect(readdirSync(directory)).toEqual(["target.raw"]);
});

it("follows its data file, whatever is wanted then", async () => {
  const controller = new AbortController();
  host.onRename = () => {
    controller.abort();
  };
  await convert({ ...withData(), signal: controller.signal });
  await expectDisk(at("target.raw"));
});
