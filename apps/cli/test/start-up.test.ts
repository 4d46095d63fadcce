import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
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
  return filesLoadedWith("./watch.cjs", ...args);
}

function filesLoadedWith(first: string, ...args: readonly string[]): unknown {
  const { status, stderr } = spawnSync(process.execPath, ["-r", first, program, ...args], {
    cwd: directory,
    encoding: "utf8",
  });
  expect(status).toBe(0);
  return JSON.parse(stderr);
}

describe("what the program loads before it works", () => {
  it("is itself for its version", () => {
    expect(filesLoadedBy("--version")).toEqual(["img.js", "program.js"]);
  });

  it("is itself and all words of help for that", () => {
    expect(filesLoadedBy("--help")).toEqual(["img.js", "program.js", "verb-help.js"]);
  });

  it("is itself and the verb's file", () => {
    expect(filesLoadedBy("info", "packed.qcow2")).toEqual(["img.js", "program.js", "verb-info.js"]);
    expect(filesLoadedBy("map", "packed.qcow2", "--output=json")).toEqual(["img.js", "program.js", "verb-map.js"]);
    expect(filesLoadedBy("compare", "empty.qcow2", "plain.raw")).toEqual(["img.js", "program.js", "verb-compare.js"]);
  });

  it("has the codecs in it only when something compressed is read, and the system's libraries can't", () => {
    writeFileSync(
      join(directory, "hide.cjs"),
      `const { dlopen } = process;
       process.dlopen = (module, path, ...more) => {
         if (path.includes("koffi")) throw new Error("hidden");
         return dlopen.call(process, module, path, ...more);
       };
       require("./watch.cjs");`,
    );
    expect(filesLoadedWith("./hide.cjs", "compare", "packed.qcow2", "text.raw")).toEqual([
      "codecs.js",
      "img.js",
      "program.js",
      "verb-compare.js",
    ]);
  });
});

describe.skipIf(availableParallelism() < 2)("the thread that helps (for which there is a second processor)", () => {
  const threadsOf = (...args: readonly string[]): unknown => {
    writeFileSync(
      join(directory, "threads.cjs"),
      `const threads = require("node:worker_threads");
       const { basename } = require("node:path");
       const started = [];
       threads.Worker = class extends threads.Worker {
         constructor(entry, options) {
           super(entry, options);
           const verbs = Object.keys(require.cache).filter((file) => basename(file).startsWith("verb-"));
           started.push({ entry: basename(entry.pathname), before: verbs.length === 0, told: options.workerData });
         }
       };
       process.on("exit", () => process.stderr.write(JSON.stringify(started)));`,
    );
    return filesLoadedWith("./threads.cjs", ...args);
  };
  const prepared = { entry: "node-worker.js", before: true, told: null };

  beforeAll(() => {
    const create = ["create", "-q", "-f", "raw", "-o", "preallocation=full", "long.raw", "160M"];
    execFileSync("qemu-img", create, { cwd: directory });
  });

  it("is started before the verb is loaded where images are long", () => {
    expect(threadsOf("compare", "-f", "raw", "-F", "raw", "long.raw", "plain.raw")).toEqual([prepared]);
    expect(threadsOf("convert", "-f", "raw", "long.raw", "copy.raw")).toEqual([prepared]);
    execFileSync("qemu-img", ["compare", "-f", "raw", "-F", "raw", "long.raw", "copy.raw"], { cwd: directory });
  });

  it("isn't where they are short, or where no other thread would copy", () => {
    expect(threadsOf("compare", "plain.raw", "empty.qcow2")).toEqual([]);
    expect(threadsOf("convert", "-f", "raw", "plain.raw", "copy.raw")).toEqual([]);
    expect(threadsOf("convert", "-f", "raw", "-O", "qcow2", "long.raw", "copy.qcow2")).toEqual([]);
    expect(threadsOf("convert", "-f", "raw", "-m", "1", "long.raw", "copy.raw")).toEqual([]);
  });
});

describe("what V8 compiled", () => {
  const cache = join(directory, "cache");
  const run = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [program, ...args], {
      cwd: directory,
      encoding: "utf8",
      env: { ...process.env, XDG_CACHE_HOME: cache },
    });
  const kept = (): readonly string[] => readdirSync(join(cache, "img")).map((name) => join(cache, "img", name));

  it("is kept for the next run, which says the same", () => {
    mkdirSync(cache);
    const first = run("info", "plain.raw");
    const files = kept().map((file) => ({ file, ino: statSync(file).ino }));
    expect(files).toHaveLength(2);
    expect(run("info", "plain.raw")).toBe(first);
    expect(kept().map((file) => ({ file, ino: statSync(file).ino }))).toEqual(files);
  });

  it("is kept nowhere else: other users could have put something where Node would keep it", () => {
    const [home, temporary] = ["kept-home", "kept-tmp"].map((name) => join(directory, name)) as [string, string];
    mkdirSync(home);
    mkdirSync(temporary);
    const { XDG_CACHE_HOME: _cache, NODE_COMPILE_CACHE: _own, ...rest } = process.env;
    const env = { ...rest, HOME: home, TMPDIR: temporary };
    for (let round = 0; round < 2; round++) {
      execFileSync(process.execPath, [program, "info", "plain.raw"], { cwd: directory, env });
    }
    expect(readdirSync(temporary)).toEqual([]);
    expect(readdirSync(join(home, ".cache"))).toEqual(["img"]);
    expect(readdirSync(join(home, ".cache/img")).map((name) => name.split("-v")[0])).toEqual([
      "program.js",
      "verb-info.js",
    ]);
  });

  const isOld = Number.parseInt(process.versions.node, 10) < 22;
  it.runIf(isOld)("is kept by an older Node for what moves data as well, which has V8 optimize later", () => {
    const later = join(directory, "later-cache");
    mkdirSync(later);
    writeFileSync(
      join(directory, "settings.cjs"),
      `const { cachedDataVersionTag } = require("node:v8");
       const before = cachedDataVersionTag();
       process.on("beforeExit", () => process.stderr.write(cachedDataVersionTag() === before ? "usual" : "later"));`,
    );
    const runs = [1, 2].map(() => {
      const args = ["-r", "./settings.cjs", program, "compare", "empty.qcow2", "plain.raw"];
      const env = { ...process.env, XDG_CACHE_HOME: later };
      const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: directory, encoding: "utf8", env });
      const files = readdirSync(join(later, "img")).map((name) => statSync(join(later, "img", name)).ino);
      return { stdout, stderr, files };
    });
    expect(runs[0]).toMatchObject({ stdout: "Images are identical.\n", stderr: "later" });
    expect(runs[0]?.files).toHaveLength(2);
    expect(runs[1]).toEqual(runs[0]);
  });

  it("is kept for threads, for each kind of job by itself", () => {
    const threads = join(directory, "thread-cache");
    mkdirSync(threads);
    for (const kind of ["compare", "copy", "read"]) {
      // begins, and can't open what it isn't told of
      const begin = `new (require("node:worker_threads").Worker)(${JSON.stringify(join(program, "../node-worker.js"))}, {
        workerData: { kind: "${kind}" },
      })`;
      const env = { ...process.env, XDG_CACHE_HOME: threads };
      expect(spawnSync(process.execPath, ["-e", begin], { encoding: "utf8", env })).toMatchObject({
        status: 0,
        stderr: "",
      });
    }
    const names = readdirSync(join(threads, "img")).map((name) => name.split("-v")[0]);
    expect(names.sort()).toEqual(["serve-comparison.js", "serve-copying.js", "serve-reads.js"]);
  });

  it("is replaced when it isn't what V8 wants, and the run does what it should", () => {
    const sizes = kept().map((file) => statSync(file).size);
    for (const file of kept()) {
      writeFileSync(file, readFileSync(file).subarray(0, -1000));
    }
    expect(run("info", "plain.raw")).toContain("virtual size: 1 MiB");
    for (const [index, file] of kept().entries()) {
      expect(statSync(file).size).toBeGreaterThan((sizes[index] ?? 0) - 1000);
    }
  });

  it("lets plug-ins be imported, and says nothing of itself", () => {
    writeFileSync(join(directory, "nothing.mjs"), "export const formats = [];");
    for (const cached of [false, true]) {
      const args = [program, "info", "--plugin", "./nothing.mjs", "plain.raw"];
      const env = { ...process.env, XDG_CACHE_HOME: cached ? cache : join(directory, "new-cache") };
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: directory, encoding: "utf8", env });
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toContain("virtual size: 1 MiB");
    }
  });

  it("isn't missed where it can't be kept", () => {
    rmSync(cache, { recursive: true });
    writeFileSync(cache, "no directory");
    expect(run("info", "plain.raw")).toContain("virtual size: 1 MiB");
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
