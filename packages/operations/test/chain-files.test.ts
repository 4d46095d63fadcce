import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  amendImageFile,
  amendImageFileSync,
  commitImageFile,
  commitImageFileSync,
  compareImageFilesSync,
  createImageFileSync,
  infoImageFileSync,
  openImageSync,
  openWithBase,
  openWithBaseSync,
  rebaseImageFile,
  rebaseImageFileSync,
  type ImageSpec,
} from "../src/node.ts";
import { runSync } from "@img/format-core";
import { IoVector } from "@img/io-vector";

let directory: string;
const at = (name: string): string => join(directory, name);
const spec = (name: string): ImageSpec => ({ path: at(name), format: "qcow2", gate: "allow-all" });

function create(name: string, below?: string): void {
  createImageFileSync({
    path: at(name),
    format: "qcow2",
    size: 1024 * 1024,
    gate: "allow-all",
    ...(below === undefined ? {} : { backingFile: { name: below, format: "qcow2" } }),
  });
}

function write(name: string, pattern: number, offset: number): void {
  const image = openImageSync({ ...spec(name), writable: true });
  runSync(image.io.write(IoVector.from(new Uint8Array(100_000).fill(pattern)), offset));
  runSync(image.io.close());
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "img-chain-"));
  mkdirSync(at("d"));
  create("base.qcow2");
  create("d/mid.qcow2", "../base.qcow2");
  create("top.qcow2", "d/mid.qcow2");
  create("other.qcow2");
  write("base.qcow2", 1, 0);
  write("d/mid.qcow2", 2, 200_000);
  write("top.qcow2", 3, 50_000);
  write("other.qcow2", 4, 0);
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const worlds = {
  promises: { commit: commitImageFile, rebase: rebaseImageFile, amend: amendImageFile, openWithBase },
  "plain calls": {
    commit: commitImageFileSync,
    rebase: rebaseImageFileSync,
    amend: amendImageFileSync,
    openWithBase: openWithBaseSync,
  },
} as const;

/** What a call of either world gives; what it throws, too. */
async function call<T>(body: () => T | Promise<T>): Promise<T> {
  return await body();
}

describe.each(["promises", "plain calls"] as const)("images in files, with %s", (name) => {
  const world = worlds[name];

  function expectSameDisk(a: ImageSpec, b: ImageSpec): void {
    expect(compareImageFilesSync(a, b).identical).toBe(true);
  }

  function keepDisk(): ImageSpec {
    copyFileSync(at("base.qcow2"), at("base-before.qcow2"));
    copyFileSync(at("d/mid.qcow2"), at("mid-before.qcow2"));
    copyFileSync(at("top.qcow2"), at("top-before.qcow2"));
    const below = { ...spec("mid-before.qcow2"), backing: spec("base-before.qcow2") };
    return { ...spec("top-before.qcow2"), backing: below };
  }

  test("are committed into the one below, or into the one that is named", async () => {
    const before = keepDisk();
    expect(await call(() => world.commit(spec("top.qcow2")))).toEqual({ written: 151_552, emptied: true });
    expectSameDisk(spec("d/mid.qcow2"), before);
    expectSameDisk(spec("top.qcow2"), before);
    expect(await call(() => world.commit(spec("top.qcow2"), { base: "../base.qcow2" }))).toMatchObject({
      emptied: false,
    });
    expectSameDisk(spec("base.qcow2"), before);
  });

  test("are committed into one that is given instead of the one that they name", async () => {
    copyFileSync(at("d/mid.qcow2"), at("d/copy.qcow2"));
    const untouched = readFileSync(at("d/mid.qcow2"));
    const before = keepDisk();
    await call(() => world.commit({ ...spec("top.qcow2"), backing: spec("d/copy.qcow2") }));
    expectSameDisk(spec("d/copy.qcow2"), before);
    expect(readFileSync(at("d/mid.qcow2")).equals(untouched)).toBe(true);
    const named = call(() =>
      world.commit({ ...spec("top.qcow2"), backing: spec("d/copy.qcow2") }, { base: "d/mid.qcow2" }),
    );
    await expect(named).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });

  test("open with the base that is written, and close with it", async () => {
    const { image, base } = await call(() => world.openWithBase(spec("top.qcow2"), { base: "../base.qcow2" }));
    expect([image.writable, image.driver.backing?.writable, base.writable]).toEqual([true, false, true]);
    expect(image.driver.backing?.driver.backing).toBe(base);
    runSync(image.io.close());
    expect(base.io.isClosed).toBe(true);
  });

  test("have no base that nobody allows, or whose format is a guess, or that isn't there", async () => {
    const denied = call(() => world.commit({ path: at("top.qcow2"), format: "qcow2" }));
    await expect(denied).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    const outside: ImageSpec = { ...spec("top.qcow2"), gate: { within: at("d") } };
    await expect(call(() => world.commit(outside))).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    const guessed = { ...spec("top.qcow2"), backing: { path: at("d/mid.qcow2"), gate: "allow-all" } } as const;
    await expect(call(() => world.commit(guessed))).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    const none = call(() => world.commit(spec("base.qcow2")));
    await expect(none).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "backing image" });
    const unknown = call(() => world.commit(spec("top.qcow2"), { base: "other.qcow2" }));
    await expect(unknown).rejects.toMatchObject({ code: "ERR_IMG_OUT_OF_RANGE", feature: "backing image" });
    await call(() => world.rebase(spec("base.qcow2"), { name: "top.qcow2", format: "qcow2" }, { unsafe: true }));
    await expect(call(() => world.commit(spec("top.qcow2"), { base: "../base.qcow2" }))).rejects.toMatchObject({
      code: "ERR_IMG_CORRUPT",
    });
  });

  test("are put on top of others, or of none", async () => {
    const before = keepDisk();
    await call(() => world.rebase(spec("top.qcow2"), { name: "other.qcow2", format: "qcow2" }));
    expect(infoImageFileSync(spec("top.qcow2")).backing).toEqual({ name: "other.qcow2", format: "qcow2" });
    expectSameDisk(spec("top.qcow2"), before);
    await call(() => world.rebase(spec("top.qcow2"), null));
    expect(infoImageFileSync(spec("top.qcow2")).backing).toBeUndefined();
    expectSameDisk({ path: at("top.qcow2") }, before);
    await call(() =>
      world.rebase({ path: at("top.qcow2"), format: "qcow2" }, { name: "gone", format: "raw" }, { unsafe: true }),
    );
    expect(infoImageFileSync(spec("top.qcow2")).backing).toEqual({ name: "gone", format: "raw" });
  });

  test("are amended", async () => {
    const before = keepDisk();
    await call(() => world.amend(spec("top.qcow2"), { compat: "0.10" }));
    expectSameDisk(spec("top.qcow2"), before);
    expect(infoImageFileSync(spec("top.qcow2")).specific?.data["compat"]).toBe("0.10");
  });
});
