import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { isImgError, type ImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { SyncStorageBridge, type SyncStorageBridgeOptions } from "../src/index.ts";
import type { FixtureOptions } from "./fixtures/storages.ts";
import { buildWorker, type BuiltWorker } from "./support/built-worker.ts";

let built: BuiltWorker;
beforeAll(async () => {
  built = await buildWorker();
});
afterAll(() => {
  built.remove();
});

function options(name: string, argument?: unknown): SyncStorageBridgeOptions {
  return { workerEntry: built.workerEntry, export: name, options: argument };
}

function open(name: string, argument?: unknown, more: SyncStorageBridgeOptions = {}): SyncStorageBridge {
  return SyncStorageBridge.openSync(built.fixture("storages"), { ...options(name, argument), ...more });
}

function plain(argument: FixtureOptions = {}, more: SyncStorageBridgeOptions = {}): SyncStorageBridge {
  return open("open", argument, more);
}

function bytes(length: number): IoVector {
  return IoVector.single(new Uint8Array(length));
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was rejected");
}

function shown(error: unknown): Partial<ImgError> {
  const { code, message, subject } = error as ImgError;
  return { code, message, subject: subject! };
}

describe("an open bridge", () => {
  it("is what the storage behind it is", () => {
    using bridge = plain({ size: 5000, limit: 512, label: "far away", location: "/images/far" });
    expect(bridge).toMatchObject({ label: "far away", size: 5000, writable: true, location: "/images/far" });
    expect(bridge.limits).toEqual({ request: 512, memory: 1, zero: 512, discard: 512 });
    expect(String(bridge)).toBe("far away");
    expect(bridge.resolve("../base")).toBe("/base");
  });

  it("has no end where the storage behind it has none that anybody knows", async () => {
    for (const bridge of [
      open("endless"),
      await SyncStorageBridge.open(built.fixture("storages"), options("endless")),
    ]) {
      expect(bridge.size).toBe(Infinity);
      bridge.readSync(bytes(3), 2);
      expect(bridge.size).toBe(Infinity);
      // an answer that is more than "done"
      expect(bridge.extentsSync(0, 10)).toHaveLength(1);
      expect(bridge.size).toBe(Infinity);
      await bridge.read(bytes(3), 2);
      thrownBy(() => bridge.writeSync(bytes(1), -1));
      expect(bridge.size).toBe(Infinity);
      bridge[Symbol.dispose]();
    }
  });

  it("lacks what the storage behind it lacks, in both worlds", () => {
    using bridge = open("bare");
    for (const name of ["writeZeroes", "discard", "extents", "allocatedSize", "resize", "invalidate"] as const) {
      expect([bridge[name], bridge[`${name}Sync`]]).toEqual([undefined, undefined]);
    }
    expect(bridge.resolve).toBeUndefined();
    expect(bridge.writable).toBe(false);
    expect(
      isImgError(
        thrownBy(() => bridge.writeSync(bytes(1), 0)),
        "ERR_IMG_READ_ONLY",
      ),
    ).toBe(true);
  });

  it("asks for larger requests instead of aligned memory", () => {
    using bridge = plain({ size: 8192, limit: 512, memoryLimit: 4096 });
    expect(bridge.limits).toEqual({ request: 4096, memory: 1, zero: 4096, discard: 4096 });
    const three = IoVector.of(new Uint8Array(1).fill(1), new Uint8Array(4094).fill(2), new Uint8Array(1).fill(3));
    bridge.writeSync(three, 4096);
    const read = bytes(4096);
    bridge.readSync(read, 4096);
    expect(Buffer.compare(read.toUint8Array(), three.toUint8Array())).toBe(0);
  });

  it("moves more than its buffers hold, in both worlds", async () => {
    await using bridge = await SyncStorageBridge.open(built.fixture("storages"), {
      ...options("open", { limit: 512 } satisfies FixtureOptions),
      bufferSize: 4096,
    });
    const data = new Uint8Array(50 * 4096 + 512).map((_, index) => index % 251);
    const cut = IoVector.of(data.subarray(0, 5), data.subarray(5, 10_000), data.subarray(10_000));
    bridge.writeSync(cut, 512);
    expect(bridge.size).toBe(512 + data.length);
    const read = IoVector.of(new Uint8Array(7000), new Uint8Array(data.length - 7000));
    await bridge.read(read, 512);
    expect(Buffer.compare(read.toUint8Array(), data)).toBe(0);
    await bridge.write(cut, 0);
    read.fill(0);
    bridge.readSync(read, 0);
    expect(Buffer.compare(read.toUint8Array(), data)).toBe(0);
  });

  it("blocks while others wait, and knows the newest size whichever answer comes first", async () => {
    await using bridge = plain({ delayed: true });
    const writes = Array.from({ length: 20 }, (_, index) => bridge.write(bytes(100).slice(0), index * 100));
    bridge.writeSync(bytes(10), 10_000);
    expect(bridge.size).toBe(10_010);
    await Promise.all(writes);
    expect(bridge.size).toBe(10_010);
    bridge.resizeSync(500);
    expect(bridge.size).toBe(500);
  });

  it("hands shared memory to the storage, not a copy", () => {
    using bridge = open("counting");
    bridge.readSync(bytes(100), 0);
    bridge.readSync(bytes(200_000), 5);
    expect(bridge.allocatedSizeSync()).toBe(2);
  });

  it("does with a copy for a storage that refuses shared memory, and asks only once", async () => {
    using bridge = open("unshared");
    bridge.writeSync(IoVector.single(Uint8Array.of(1, 2, 3)), 4);
    const read = bytes(5);
    await bridge.read(read, 3);
    expect([...read.toUint8Array()]).toEqual([3, 1, 2, 3, 3]);
    bridge.readSync(read, 0);
    expect([...read.toUint8Array()]).toEqual([3, 3, 3, 3, 1]);
    expect(bridge.allocatedSizeSync()).toBe(1);
  });

  it("tells as many extents as there is room for", async () => {
    using bridge = open("manyExtents");
    const found = bridge.extentsSync(100, 50_000);
    expect(found.length).toBeGreaterThan(500);
    expect(found.length).toBeLessThan(50_000);
    expect(found.slice(0, 2)).toEqual([
      { kind: "data", offset: 100, length: 1 },
      { kind: "hole", offset: 101, length: 1 },
    ]);
    expect(await bridge.extents(100, 50_000)).toHaveLength(50_000);
  });

  it("can be closed in either world, more than once, and then says that it is closed", async () => {
    for (const world of ["sync", "async"]) {
      const bridge = plain({ size: 10 });
      if (world === "async") {
        await bridge[Symbol.asyncDispose]();
      }
      bridge[Symbol.dispose]();
      await bridge[Symbol.asyncDispose]();
      expect(
        isImgError(
          thrownBy(() => bridge.readSync(bytes(1), 0)),
          "ERR_IMG_CLOSED",
        ),
      ).toBe(true);
      expect(isImgError(await rejectionOf(bridge.read(bytes(1), 0)), "ERR_IMG_CLOSED")).toBe(true);
    }
  });

  it("says when closing fails, and ends its worker all the same", async () => {
    const first = open("unclosable");
    expect(shown(thrownBy(() => first[Symbol.dispose]()))).toMatchObject({ code: "EDQUOT" });
    first[Symbol.dispose]();
    const second = open("unclosable");
    expect(shown(await rejectionOf(second[Symbol.asyncDispose]()))).toMatchObject({ code: "EDQUOT" });
    await second[Symbol.asyncDispose]();
    expect(
      isImgError(
        thrownBy(() => second.flushSync()),
        "ERR_IMG_CLOSED",
      ),
    ).toBe(true);
  });
});

/** Calls a storage in both worlds. */
const worlds: readonly (readonly [
  world: string,
  call: (bridge: SyncStorageBridge, method: string) => Promise<unknown>,
])[] = [
  [
    "blocks",
    async (bridge, method) => {
      if (method === "read") bridge.readSync(bytes(10), 0);
      else bridge.syncSync();
    },
  ],
  ["waits", (bridge, method) => (method === "read" ? bridge.read(bytes(10), 0) : bridge.sync())],
];

describe.each(worlds)("an error of the storage, for one who %s,", (_, call) => {
  const failure = async (how: string): Promise<unknown> => {
    using bridge = open("disturbed", { method: "read", how });
    return await rejectionOf(call(bridge, "read"));
  };

  it("has the host's code, and the host's error as its cause", async () => {
    const error = (await failure("fail like the host")) as ImgError;
    expect(isImgError(error, "EREMOTEIO")).toBe(true);
    expect(error.subject).toBe("the disturbed one");
    expect(error.message).toBe("the disturbed one: cannot read 10 bytes at 0x0: EREMOTEIO: the disk is on fire");
    expect(error.cause).toMatchObject({ code: "EREMOTEIO", errno: -121, syscall: "pread" });
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("is the same if it is one of ours", async () => {
    const error = (await failure("fail by name")) as ImgError;
    expect(shown(error)).toEqual({ code: "ERR_IMG_LOCKED", message: "it is locked", subject: "the lock" });
    expect(error.cause).toMatchObject({ message: "no such server", code: "ENOTFOUND" });
  });

  it("stays a programmer's mistake if it is one", async () => {
    const error = await failure("throw a range");
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ message: "offset 3: expected a multiple of 512" });
  });

  it("may be something that isn't an error", async () => {
    expect(shown(await failure("throw text"))).toMatchObject({ code: "EIO" });
  });

  it("leaves the bridge usable", async () => {
    using bridge = open("disturbed", { method: "sync", how: "fail by name" });
    await rejectionOf(call(bridge, "sync"));
    const read = bytes(3);
    bridge.readSync(read, 0);
    expect([...read.toUint8Array()]).toEqual([7, 7, 7]);
  });
});

describe.each(worlds)("a worker that ends while somebody %s", (_, call) => {
  it.each([
    ["exit", /the disturbed one has lost the worker that runs it: it exited with status 5/],
    ["really exit", /it exited with status 6/],
    ["throw elsewhere", /thrown by nobody's call/],
    ["reject elsewhere", /rejected for nobody/],
  ])("because of: %s, gives an error, then and from then on", async (how, message) => {
    const bridge = open("disturbed", { method: "read", how });
    const error = (await rejectionOf(call(bridge, "read"))) as ImgError;
    expect(isImgError(error, "EIO")).toBe(true);
    expect(error.message).toMatch(message);
    expect(error.subject).toBe("the disturbed one");
    expect(error.cause).toBeInstanceOf(Error);
    for (const later of [() => rejectionOf(call(bridge, "sync")), async () => thrownBy(() => bridge.flushSync())]) {
      expect(shown(await later())).toMatchObject({ code: "EIO", message: error.message });
    }
    // what it hadn't written is lost: closing says so, once
    expect(shown(thrownBy(() => bridge[Symbol.dispose]()))).toMatchObject({ code: "EIO" });
    bridge[Symbol.dispose]();
  });
});

it.each([
  ["loop for ever", worlds[0]!],
  ["never answer", worlds[1]!],
] as const)("gives a worker up that doesn't answer in time: %s", async (how, [, call]) => {
  const bridge = open("disturbed", { method: "read", how }, { timeout: 4000 });
  const error = await rejectionOf(call(bridge, "read"));
  expect(shown(error)).toEqual({
    code: "ETIMEDOUT",
    message: "the disturbed one did not answer read within 4000 ms, so its worker was ended",
    subject: "the disturbed one",
  });
  expect(shown(thrownBy(() => bridge.flushSync()))).toMatchObject({ code: "ETIMEDOUT" });
  expect(shown(await rejectionOf(bridge.sync()))).toMatchObject({ code: "ETIMEDOUT" });
  await rejectionOf(bridge[Symbol.asyncDispose]());
});

it("gives a worker up that loads native code when it has, because ending it meanwhile aborts the process", async () => {
  const loaded = join(built.directory, "loaded");
  vi.stubEnv("IMG_TEST_LOADED", loaded);
  const bridge = open("disturbed", { method: "read", how: "load native code" }, { timeout: 1500 });
  expect(shown(await rejectionOf(bridge.read(bytes(1), 0)))).toMatchObject({ code: "ETIMEDOUT" });
  await rejectionOf(bridge[Symbol.asyncDispose]());
  expect(existsSync(loaded)).toBe(true);
  vi.unstubAllEnvs();
});

/** Keeps this thread busy, which hears of nothing meanwhile. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

it("gives no worker up whose answer came in time while the caller was busy", async () => {
  using bridge = plain({ size: 10 }, { timeout: 1500 });
  const reading = [bridge.read(bytes(10), 0), bridge.read(bytes(10), 5)];
  block(1700);
  await Promise.all(reading);
  bridge.flushSync();
});

it("fails all calls in flight when its worker ends, also those that wait for a buffer", async () => {
  const bridge = open("disturbed", { method: "sync", how: "exit" });
  const calls = [bridge.sync(), ...Array.from({ length: 12 }, () => bridge.sync())];
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => "rejected"));
  await rejectionOf(bridge[Symbol.asyncDispose]());
});

describe("opening a bridge", () => {
  const failures: readonly (readonly [
    what: string,
    how: () => [URL | string, SyncStorageBridgeOptions],
    expected: object,
  ])[] = [
    [
      "a module that isn't there",
      () => [new URL("nowhere.js", built.workerEntry), options("open")],
      { code: "ERR_MODULE_NOT_FOUND" },
    ],
    ["a module that throws", () => [built.fixture("throws"), options("open")], { code: "ERR_BROKEN" }],
    ["an export that rejects", () => [built.fixture("storages"), options("rejects")], { code: "EACCES" }],
    ["an export that ends the worker", () => [built.fixture("storages"), options("exits")], { code: "EIO" }],
    [
      "an export that never answers",
      () => [built.fixture("storages"), { ...options("never"), timeout: 1500 }],
      { code: "ETIMEDOUT" },
    ],
    ["no export of that name", () => [built.fixture("storages"), options("absent")], { name: "TypeError" }],
    [
      "an export that is no function",
      () => [built.fixture("storages"), options("notAFunction")],
      { name: "TypeError" },
    ],
    [
      "an export that gives no storage",
      () => [built.fixture("storages"), options("notAStorage")],
      { name: "TypeError" },
    ],
    [
      "requests larger than its buffers",
      () => [built.fixture("storages"), { ...options("open", { size: 65536, limit: 8192 }), bufferSize: 4096 }],
      { code: "ERR_IMG_LIMIT" },
    ],
    ["a relative location", () => ["./storages.js", options("open")], { name: "TypeError" }],
    [
      "options that can't be cloned",
      () => [built.fixture("storages"), options("open", { size: () => 1 })],
      { name: "DataCloneError" },
    ],
    ["an odd buffer size", () => [built.fixture("storages"), { bufferSize: 5000 }], { name: "RangeError" }],
    ["a timeout of nothing", () => [built.fixture("storages"), { timeout: 0 }], { name: "RangeError" }],
    [
      "a worker that isn't there",
      () => [built.fixture("storages"), { workerEntry: pathToFileURL("/nowhere/worker.js") }],
      { code: "ENOENT" },
    ],
  ];

  it.each(failures)("refuses %s, in both worlds", async (_, how, expected) => {
    const [specifier, settings] = how();
    expect(thrownBy(() => SyncStorageBridge.openSync(specifier, settings))).toMatchObject(expected);
    expect(await rejectionOf(SyncStorageBridge.open(specifier, settings))).toMatchObject(expected);
  });

  it("takes the module as text, too", () => {
    using bridge = SyncStorageBridge.openSync(built.fixture("storages").href, options("open", { size: 3 }));
    expect(bridge.size).toBe(3);
  });
});

describe("a process", () => {
  /** Runs a program that has `open(name, argument)`; it has 20 seconds. */
  const run = (
    program: string,
    flags: readonly string[] = [],
  ): { status: number | null; stdout: string; stderr: string } => {
    const path = join(built.directory, `program-${String(Math.random()).slice(2)}.js`);
    const preamble = `
      import { SyncStorageBridge } from ${JSON.stringify(pathToFileURL(join(built.directory, "sync.js")).href)};
      const open = (name, options, more) => SyncStorageBridge.openSync(new URL("./storages.js", import.meta.url), { export: name, options, ...more });
      const vector = { length: 1, slice() { return this; }, copyFromSlice() {}, copyIntoSlice() {} };
    `;
    writeFileSync(path, preamble + program);
    const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, path], {
      encoding: "utf8",
      timeout: 120_000,
    });
    return { status, stdout, stderr };
  };

  it("ends by itself although a bridge is open, was closed, or has lost its worker", () => {
    const { status, stdout, stderr } = run(`
      open("open", { size: 10 }).readSync(vector, 0);
      open("open", { size: 10 })[Symbol.dispose]();
      await open("open", { size: 10 })[Symbol.asyncDispose]();
      try { open("disturbed", { method: "read", how: "exit" }).readSync(vector, 0); } catch ({ code }) { console.log(code); }
      console.log("at its end");
    `);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "EIO\nat its end\n", stderr: "" });
  });

  it("survives a worker that runs out of memory, which gets no chance to say so", () => {
    const { status, stdout } = run(
      `
      const bridge = open("disturbed", { method: "read", how: "run out of memory" });
      for (let count = 0; count < 2; count++) {
        try { bridge.readSync(vector, 0); } catch ({ code, message }) { console.log(code, message); }
      }
      `,
      ["--max-old-space-size=60"],
    );
    const line = expect.stringMatching(/^EIO the disturbed one has lost the worker that runs it: .*memory/i) as string;
    expect({ status, lines: stdout.trim().split("\n") }).toEqual({ status: 0, lines: [line, line] });
  });

  it("waits for calls in flight before it ends", () => {
    const { status, stdout } = run(`
      const bridge = open("open", { size: 10, delayed: true });
      bridge.read(vector, 0).then(() => console.log("read"));
    `);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "read\n" });
  });
});
