import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadKoffi } from "../src/native/load-koffi.ts";
import { loadPrebuilt } from "../src/native/load-prebuilt.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const isPrepared = process.platform === "linux" && ["x64", "arm64"].includes(process.arch);
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "img-prebuilt-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("koffi's binary", () => {
  it.runIf(isPrepared && loadKoffi() !== undefined)("is found where package managers put it, and is koffi", () => {
    const { version } = loadPrebuilt(here) as typeof import("koffi");
    expect(version).toBe(loadKoffi()?.version);
  });

  it("is left to Node where no koffi is installed", () => {
    expect(loadPrebuilt(directory)).toBeUndefined();
  });

  it("is left to Node where koffi has none beside it", () => {
    mkdirSync(join(directory, "node_modules/koffi"), { recursive: true });
    expect(loadPrebuilt(directory)).toBeUndefined();
  });

  it("is left to Node where it can't be loaded, also when koffi is a link", () => {
    const store = join(directory, "store");
    const binary = join(
      store,
      "@koromix",
      `koffi-linux-${process.arch}`,
      process.arch === "x64" ? "linux_x64" : "linux_arm64",
    );
    mkdirSync(binary, { recursive: true });
    writeFileSync(join(binary, "koffi.node"), "no library");
    mkdirSync(join(store, "koffi"));
    mkdirSync(join(directory, "node_modules"));
    symlinkSync(join(store, "koffi"), join(directory, "node_modules/koffi"));
    expect(loadPrebuilt(join(directory))).toBeUndefined();
  });
});
