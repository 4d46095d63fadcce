import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "img-start-"));

beforeAll(() => {
  execFileSync("qemu-img", ["create", "-q", "-f", "raw", "plain.raw", "1M"], { cwd: directory });
  execFileSync("qemu-img", ["convert", "-O", "qcow2", "-c", "plain.raw", "empty.qcow2"], { cwd: directory });
  writeFileSync(join(directory, "text.raw"), "text ".repeat(200_000));
  execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "-c", "text.raw", "packed.qcow2"], {
    cwd: directory,
  });
  // tells which of the program's files were loaded
  writeFileSync(
    join(directory, "watch.cjs"),
    `const { basename, dirname } = require("node:path");
     process.on("exit", () => {
       const files = Object.keys(require.cache).filter((file) => dirname(file) === ${JSON.stringify(join(program, ".."))});
       process.stderr.write(JSON.stringify(files.map((file) => basename(file)).sort()));
     });`,
  );
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function filesLoadedBy(...args: readonly string[]): unknown {
  const { status, stderr } = spawnSync(process.execPath, ["-r", "./watch.cjs", program, ...args], {
    cwd: directory,
    encoding: "utf8",
  });
  expect(status).toBe(0);
  return JSON.parse(stderr);
}

describe("what the program loads before it works", () => {
  it("is itself for its version", () => {
    expect(filesLoadedBy("--version")).toEqual(["img.js"]);
  });

  it("is itself and all words of help for that", () => {
    expect(filesLoadedBy("--help")).toEqual(["img.js", "verb-help.js"]);
  });

  it("is itself and the verb's file", () => {
    expect(filesLoadedBy("info", "packed.qcow2")).toEqual(["img.js", "verb-info.js"]);
    expect(filesLoadedBy("map", "packed.qcow2", "--output=json")).toEqual(["img.js", "verb-map.js"]);
    expect(filesLoadedBy("compare", "empty.qcow2", "plain.raw")).toEqual(["img.js", "verb-compare.js"]);
  });

  it("has the codecs in it only when something compressed is read", () => {
    expect(filesLoadedBy("compare", "packed.qcow2", "text.raw")).toEqual(["codecs.js", "img.js", "verb-compare.js"]);
  });
});

describe("an output that can't be written", () => {
  it("is an error in a sentence", () => {
    const { status, stderr } = spawnSync(
      "sh",
      ["-c", `"$0" "$1" info empty.qcow2 > /dev/full`, process.execPath, program],
      {
        cwd: directory,
        encoding: "utf8",
      },
    );
    expect(stderr).toBe("img: cannot write to the standard output: No space left on device\n");
    expect(status).toBe(1);
  });

  it("ends the program without a word when nobody reads on", () => {
    const { stdout, stderr } = spawnSync("sh", ["-c", `"$0" "$1" info empty.qcow2 | true`, process.execPath, program], {
      cwd: directory,
      encoding: "utf8",
    });
    expect({ stdout, stderr }).toEqual({ stdout: "", stderr: "" });
  });

  it("is waited for when the reader is slow", () => {
    const file = openSync(join(directory, "holes.raw"), "w");
    for (let index = 0; index < 1500; index++) {
      writeSync(file, "x", index * 8192);
    }
    closeSync(file);
    const command = `"$0" "$1" map -f raw --output=json holes.raw | (sleep 0.3; tail -c 2)`;
    const { stdout } = spawnSync("sh", ["-c", command, process.execPath, program], {
      cwd: directory,
      encoding: "utf8",
    });
    expect(stdout.trim()).toMatch(/\]$/);
  });
});
