import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "tsup";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NativeLoading } from "../src/node/native-loading.ts";

const directory = mkdtempSync(join(tmpdir(), "img-loading-"));
const places: Readonly<Partial<Record<string, string>>> = { x64: "linux_x64", arm64: "linux_arm64" };
const koffi = findKoffi();

/** The native helper of `@img/storage-fs`, where it is installed. */
function findKoffi(): string {
  const link = join(import.meta.dirname, "../../storage-fs/node_modules/koffi");
  const packages = existsSync(link) ? dirname(realpathSync(link)) : directory;
  return join(packages, "@koromix", `koffi-linux-${process.arch}`, places[process.arch] ?? "none", "koffi.node");
}

beforeAll(async () => {
  const support = join(import.meta.dirname, "support");
  await build({
    entry: ["declaring-worker", "end-declaring"].map((name) => join(support, `${name}.ts`)),
    outDir: directory,
    config: false,
    silent: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    noExternal: [/./],
    esbuildOptions(settings) {
      settings.conditions = ["@img/source", "module"];
    },
  });
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe.skipIf(!existsSync(koffi))("a thread that loads native code (for which koffi is installed)", () => {
  it.each([
    ["readers", "ended\n"],
    ["parts", "ended\n"],
    ["exit", ""],
  ])("is left alone until it has when it isn't needed any more: %s", (way, stdout) => {
    const [begun, declared] = [join(directory, `begun-${way}`), join(directory, `declared-${way}`)];
    const env = { ...process.env, KOFFI: koffi, BEGUN: begun, DECLARED: declared };
    const run = spawnSync(process.execPath, [join(directory, "end-declaring.js"), way], { encoding: "utf8", env });
    expect(run).toMatchObject({ status: 0, signal: null, stdout, stderr: "" });
    expect(existsSync(declared)).toBe(true);
  });
});

describe("what a thread loads", () => {
  it("is nothing any more when its owner has said so before", () => {
    const { dlopen } = process;
    const owner = new NativeLoading();
    try {
      new NativeLoading(owner.memory).guard();
      expect(owner.forbid()).toBe("nothing");
      expect(() => process.dlopen({ exports: {} }, "missing.node")).toThrow("a thread that is ended loads nothing");
      owner.wait();
    } finally {
      process.dlopen = dlopen;
    }
  });

  it("is known until the event loop turns, or what it is for is there", async () => {
    const { dlopen } = process;
    const owner = new NativeLoading();
    const thread = new NativeLoading(owner.memory);
    try {
      thread.guard();
      expect(() => process.dlopen({ exports: {} }, "missing.node")).toThrow();
      expect(owner.forbid()).toBe("loading");
      await new Promise((resolve) => setImmediate(resolve));
      expect(owner.forbid()).toBe("loaded");
    } finally {
      process.dlopen = dlopen;
    }
  });
});
