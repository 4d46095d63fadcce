import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CompiledCode } from "../src/start/compiled-code.ts";
import { loadCompiled } from "../src/start/load-compiled.ts";

const bytes = Buffer.from("what V8 made");
let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "img-code-"));
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function codeFor(source = "1 2 3", env: NodeJS.ProcessEnv = { HOME: home }): CompiledCode {
  const code = CompiledCode.for("verb-x.js", source, env);
  if (code === undefined) {
    throw new Error("there is no place for it");
  }
  return code;
}

function keptFile(): string {
  const directory = join(home, ".cache/img");
  const [name = ""] = readdirSync(directory);
  return join(directory, name);
}

describe("compiled code that is kept", () => {
  it("is read by the next run, and by nobody but its owner", () => {
    expect(codeFor().read()).toBeUndefined();
    codeFor().keep(() => bytes);
    expect(codeFor().read()).toEqual(bytes);
    expect(statSync(join(home, ".cache/img")).mode & 0o777).toBe(0o700);
    expect(statSync(keptFile()).mode & 0o777).toBe(0o600);
  });

  it("goes below XDG_CACHE_HOME where that is set", () => {
    codeFor("1", { HOME: "/nowhere", XDG_CACHE_HOME: home }).keep(() => bytes);
    expect(readdirSync(join(home, "img"))).toHaveLength(1);
  });

  it("isn't used for another source, and is replaced by that one's", () => {
    codeFor("1 2 3").keep(() => bytes);
    expect(codeFor("1 2 4").read()).toBeUndefined();
    codeFor("1 2 4").keep(() => Buffer.from("other"));
    expect(codeFor("1 2 4").read()?.toString()).toBe("other");
    expect(codeFor("1 2 3").read()).toBeUndefined();
    expect(readdirSync(join(home, ".cache/img"))).toHaveLength(1);
  });

  it("isn't read from a file or directory that others can write, nor through a link", () => {
    codeFor().keep(() => bytes);
    const directory = join(home, ".cache/img");
    chmodSync(keptFile(), 0o620);
    expect(codeFor().read()).toBeUndefined();
    chmodSync(keptFile(), 0o600);
    chmodSync(directory, 0o777);
    expect(codeFor().read()).toBeUndefined();
    chmodSync(directory, 0o700);
    expect(codeFor().read()).toEqual(bytes);
    const copy = join(home, "copy");
    const path = keptFile();
    writeFileSync(copy, readFileSync(path), { mode: 0o600 });
    rmSync(path);
    symlinkSync(copy, path);
    expect(codeFor().read()).toBeUndefined();
  });

  it("isn't put where others can write, and isn't made then", () => {
    mkdirSync(join(home, ".cache/img"), { recursive: true });
    chmodSync(join(home, ".cache/img"), 0o777);
    codeFor().keep(() => {
      throw new Error("made in vain");
    });
    expect(readdirSync(join(home, ".cache/img"))).toEqual([]);
  });

  it("isn't read once a byte of it has changed, which V8 wouldn't notice", () => {
    const long = randomBytes(200_000);
    codeFor().keep(() => long);
    expect(codeFor().read()?.equals(long)).toBe(true);
    const good = readFileSync(keptFile());
    for (const at of [0, 300, 199_999, 300_000, good.length - 1]) {
      const damaged = Buffer.from(good);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      writeFileSync(keptFile(), damaged);
      expect(codeFor().read()).toBeUndefined();
    }
    for (const part of [good.subarray(0, -1), good.subarray(0, -2), good.subarray(0, 200_256), good.subarray(0, 100)]) {
      writeFileSync(keptFile(), part);
      expect(codeFor().read()).toBeUndefined();
    }
    codeFor().keep(() => long);
    expect(codeFor().read()?.equals(long)).toBe(true);
  });

  it("is whole when others keep the same file's meanwhile, with the same process id", () => {
    const seen: unknown[] = [];
    codeFor().keep(() => {
      codeFor().keep(() => {
        codeFor().keep(() => Buffer.from("third"));
        seen.push(codeFor().read()?.toString());
        return Buffer.from("second");
      });
      seen.push(codeFor().read()?.toString());
      return Buffer.from("first");
    });
    seen.push(codeFor().read()?.toString());
    expect(seen).toEqual(["third", "second", "first"]);
    expect(readdirSync(join(home, ".cache/img"))).toHaveLength(1);
  });

  it("leaves nothing half done when making it fails", () => {
    codeFor().keep(() => {
      throw new Error("no memory");
    });
    expect(readdirSync(join(home, ".cache/img"))).toEqual([]);
    expect(codeFor().read()).toBeUndefined();
  });

  it("goes away with whoever was killed while it was kept, later on", () => {
    const directory = join(home, ".cache/img");
    codeFor().keep(() => bytes);
    const part = (uuid: string, age: number, name = "verb-x.js-v1-x64.code"): string => {
      const path = join(directory, `${name}.${uuid}`);
      writeFileSync(path, "part");
      utimesSync(path, new Date(), new Date(Date.now() - age));
      return path;
    };
    const old = part("0b5a1c52-8a9d-4a56-9d0a-4f6f8a2f3b1c", 120_000);
    const recent = part("1b5a1c52-8a9d-4a56-9d0a-4f6f8a2f3b1c", 10_000);
    const foreign = part("txt", 120_000, "notes.code");
    codeFor("other").keep(() => bytes);
    expect([old, recent, foreign].map((path) => existsSync(path))).toEqual([false, true, true]);
    expect(codeFor("other").read()).toEqual(bytes);
  });

  it("has no place where none is known, and where Node was told to keep nothing", () => {
    expect(CompiledCode.for("x", "1", {})).toBeUndefined();
    expect(CompiledCode.for("x", "1", { HOME: "relative" })).toBeUndefined();
    expect(CompiledCode.for("x", "1", { HOME: home, NODE_DISABLE_COMPILE_CACHE: "1" })).toBeUndefined();
    expect(CompiledCode.for("x", "1", { HOME: home, NODE_V8_COVERAGE: home })).toBeUndefined();
    expect(CompiledCode.for("x", "1".repeat(300), { HOME: home })).toBeUndefined();
  });
});

describe("a file that is loaded with kept code", () => {
  it("exports what it would without, whatever was kept", () => {
    const file = join(home, "verb-y.cjs");
    writeFileSync(
      file,
      "exports.answer = () => [require('node:path').basename(__filename), module.exports === exports];",
    );
    const env = { HOME: home };
    const { size, mtimeMs, ctimeMs, ino } = statSync(file);
    const load = (): unknown => (loadCompiled(file, env) as { answer: () => unknown }).answer();
    const listeners = process.listenerCount("exit");
    expect(load()).toEqual(["verb-y.cjs", true]);
    CompiledCode.for("verb-y.cjs", [size, mtimeMs, ctimeMs, ino].join(" "), env)?.keep(() => Buffer.alloc(4096, 7));
    expect(existsSync(keptFile())).toBe(true);
    expect(load()).toEqual(["verb-y.cjs", true]);
    // the first run would keep its code at its end
    const added = process.listeners("exit").slice(listeners);
    expect(added.length).toBeGreaterThan(0);
    for (const listener of added) {
      process.off("exit", listener);
    }
  });

  it("is the same one to whoever asks for it by `require`", () => {
    const file = join(home, "verb-z.cjs");
    writeFileSync(file, "exports.itself = () => require(__filename) === module.exports;");
    const { NODE_DISABLE_COMPILE_CACHE: before } = process.env;
    const listeners = process.listeners("exit");
    try {
      delete process.env["NODE_DISABLE_COMPILE_CACHE"];
      expect((loadCompiled(file) as { itself: () => boolean }).itself()).toBe(true);
      process.env["NODE_DISABLE_COMPILE_CACHE"] = "1";
      expect((loadCompiled(file) as { itself: () => boolean }).itself()).toBe(true);
    } finally {
      delete process.env["NODE_DISABLE_COMPILE_CACHE"];
      Object.assign(process.env, before === undefined ? {} : { NODE_DISABLE_COMPILE_CACHE: before });
      for (const listener of process.listeners("exit").filter((each) => !listeners.includes(each))) {
        process.off("exit", listener);
      }
    }
  });
});
