import { Buffer } from "node:buffer";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { CommandError, parseArguments } from "@img/cli";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { storageExport, type NbdExport, type NbdPeer } from "@img/nbd";
import { describe, expect, test } from "vitest";
import { connectionLimits, type ConnectionLimits } from "../src/arguments/connection-limits.ts";
import { optionGroups } from "../src/arguments/option-groups.ts";
import { detectZeroes } from "../src/exports/detect-zeroes.ts";
import type { FolderPlan } from "../src/exports/export-plan.ts";
import { matchesPattern } from "../src/exports/file-pattern.ts";
import { FolderExports } from "../src/exports/folder-exports.ts";
import { limitRate } from "../src/exports/limit-rate.ts";
import { SharedExport } from "../src/exports/shared-export.ts";
import { snapshotPlans } from "../src/exports/snapshot-exports.ts";
import { windowExport } from "../src/exports/window-export.ts";
import { writeThrough } from "../src/exports/write-through.ts";
import { AddressFilter } from "../src/network/address-filter.ts";
import { exportUris } from "../src/network/export-uris.ts";
import { RateLimiter, type Clock } from "../src/network/rate-limiter.ts";
import { Slots } from "../src/network/slots.ts";
import { inheritedSockets } from "../src/network/socket-activation.ts";
import { Log } from "../src/observe/log.ts";
import { Metrics } from "../src/observe/metrics.ts";
import { ScratchDirectory } from "./support/scratch-directory.ts";

/** An export that notes what it is asked. */
function noting(calls: string[], size = 1024): NbdExport {
  return {
    size,
    writable: true,
    read: (into, offset) => void calls.push(`read ${offset}+${into.length}`),
    write: (from, offset) => void calls.push(`write ${offset}+${from.length}`),
    writeZeroes: (offset, length, { allocate }) => void calls.push(`zero ${offset}+${length} ${String(allocate)}`),
    trim: (offset, length) => void calls.push(`trim ${offset}+${length}`),
    flush: () => void calls.push("flush"),
    contexts: [{ name: "base:allocation", status: (offset, length) => [{ length, flags: offset }] }],
  };
}

const bytes = (length: number, value = 1): IoVector => IoVector.single(new Uint8Array(length).fill(value));

describe("addresses", () => {
  test("all are let in where nothing is said, those on the list where there is one, and never those that are denied", () => {
    expect(new AddressFilter([], []).admits("192.0.2.1")).toBe(true);
    const filter = new AddressFilter(["192.0.2.0/24", "2001:db8::/32", "203.0.113.9"], ["192.0.2.128/25"]);
    const admitted = (address: string): boolean => filter.admits(address);
    expect(["192.0.2.5", "::ffff:192.0.2.5", "203.0.113.9", "2001:db8::7"].map(admitted)).not.toContain(false);
    expect(["192.0.2.129", "::ffff:192.0.2.200", "203.0.113.8", "2001:db9::7", "::1"].map(admitted)).not.toContain(
      true,
    );
    expect(filter.admits(undefined)).toBe(true);
  });

  test.each(["nonsense", "192.0.2.0/33", "2001:db8::/129", "192.0.2.0/-1", "example.com"])(
    "%s is refused",
    (network) => {
      expect(() => new AddressFilter([network], [])).toThrow(CommandError);
    },
  );
});

describe("how many clients are let in", () => {
  const limits = (...words: string[]): ConnectionLimits =>
    connectionLimits(
      parseArguments(
        words,
        optionGroups.flatMap(({ options }) => options),
      ),
    );

  test.each([
    { words: [], shared: Infinity, maximum: 100 },
    { words: ["-e", "2"], shared: 2, maximum: 100 },
    { words: ["-e", "300"], shared: 300, maximum: 300 },
    { words: ["-e", "0"], shared: Infinity, maximum: Infinity },
    { words: ["-e", "0", "--max-connections", "7"], shared: Infinity, maximum: 7 },
    { words: ["-e", "7", "--max-connections", "7"], shared: 7, maximum: 7 },
  ])("$words: $shared at once, and $maximum at most", ({ words, ...expected }) => {
    expect(limits(...words)).toEqual(expected);
  });

  test("whoever is promised to be served can't be dropped", () => {
    expect(() => limits("-e", "8", "--max-connections", "7")).toThrow("--max-connections 7 is less than --shared 8");
  });
});

test("so many have a slot at once, and the others follow in the order in which they came", async () => {
  const slots = new Slots(2);
  const log: string[] = [];
  const finish = new Map<string, () => void>();
  const run = (name: string): Promise<boolean> =>
    slots.run(() => {
      log.push(name);
      return new Promise((resolve) => finish.set(name, resolve));
    });
  const all = ["a", "b", "c", "d"].map(run);
  await Promise.resolve();
  expect(log).toEqual(["a", "b"]);
  finish.get("b")?.();
  await all[1];
  expect(log).toEqual(["a", "b", "c"]);
  finish.get("a")?.();
  await all[0];
  expect(log).toEqual(["a", "b", "c", "d"]);
  finish.get("c")?.();
  finish.get("d")?.();
  expect(await Promise.all(all)).toEqual([true, true, true, true]);
});

/** A clock that stands still until the test moves it. */
class TestClock implements Clock {
  #now = 0;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];

  /** Timers that haven't gone off. */
  get timerCount(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#now + milliseconds, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Lets time go by, and whatever happens then. */
  async pass(milliseconds: number): Promise<void> {
    this.#now += milliseconds;
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { callback } of due) {
      callback();
    }
    await turn();
  }
}

describe("rates", () => {
  const gone = new AbortController().signal;

  test("are kept by a clock: a second's worth at once, then as fast as they say, in order", async () => {
    const calls: string[] = [];
    const clock = new TestClock();
    const limited = limitRate(noting(calls), new RateLimiter({ bytesPerSecond: 1000 }, clock), gone);
    void limited.read(bytes(600), 0);
    void limited.write?.(bytes(600), 0);
    void limited.read(bytes(100), 0);
    void limited.writeZeroes?.(0, 1000, { allocate: false, fast: false });
    await clock.pass(199);
    expect(calls).toEqual(["read 0+600", "write 0+600"]);
    await clock.pass(1);
    expect(calls.slice(2)).toEqual(["read 0+100"]);
    await clock.pass(100);
    expect(calls.slice(3)).toEqual(["zero 0+1000 false"]);
    // what wasn't used for a while isn't saved up: a second's worth is all
    await clock.pass(10_000);
    calls.length = 0;
    void limited.read(bytes(1000), 0);
    void limited.read(bytes(1), 0);
    void limited.read(bytes(2), 0);
    await clock.pass(0);
    expect(calls).toEqual(["read 0+1000", "read 0+1"]);
    await clock.pass(1);
    expect(calls).toHaveLength(3);
    expect(clock.timerCount).toBe(0);
  });

  test("may count requests, and bytes besides", async () => {
    const calls: string[] = [];
    const clock = new TestClock();
    const limiter = new RateLimiter({ requestsPerSecond: 2, bytesPerSecond: 10 }, clock);
    const limited = limitRate(noting(calls), limiter, gone);
    for (let index = 0; index < 4; index++) {
      void limited.trim?.(index, 1);
    }
    void limited.read(bytes(20), 0);
    void limited.read(bytes(1), 0);
    await clock.pass(0);
    expect(calls).toHaveLength(3);
    await clock.pass(1000);
    expect(calls).toHaveLength(5);
    await clock.pass(1000);
    expect(calls.slice(3)).toEqual(["trim 3+1", "read 0+20", "read 0+1"]);
  });

  test("of nobody who has gone: its requests fail, cost nothing, and leave their turns to the others", async () => {
    const calls: string[] = [];
    const clock = new TestClock();
    const limiter = new RateLimiter({ bytesPerSecond: 100 }, clock);
    const leaving = new AbortController();
    const left = limitRate(noting(calls), limiter, leaving.signal);
    const stayed = limitRate(noting(calls), limiter, gone);
    const begun = left.read(bytes(200), 1);
    const waiting = [2, 3].map(async (offset) => left.read(bytes(5000), offset));
    const other = stayed.read(bytes(100), 4);
    await clock.pass(500);
    const reason = new Error("gone");
    leaving.abort(reason);
    expect(await Promise.allSettled(waiting)).toEqual([
      { status: "rejected", reason },
      { status: "rejected", reason },
    ]);
    await expect(left.read(bytes(1), 5)).rejects.toBe(reason);
    await begun;
    await clock.pass(500);
    await other;
    expect(calls).toEqual(["read 1+200", "read 4+100"]);
    expect(clock.timerCount).toBe(0);
  });

  test("are kept by requests so long that no timer lasts until they are paid for", async () => {
    const calls: string[] = [];
    const clock = new TestClock();
    const limited = limitRate(noting(calls), new RateLimiter({ bytesPerSecond: 1 }, clock), gone);
    void limited.read(bytes(3_000_002), 1);
    void limited.read(bytes(1), 2);
    await clock.pass(2 ** 31 - 1);
    expect(calls).toEqual(["read 1+3000002"]);
    await clock.pass(3_000_001_000 - 2 ** 31 + 1);
    expect(calls).toEqual(["read 1+3000002", "read 2+1"]);
  });
});

describe("what is put around exports", () => {
  test("a window moves everything that has an offset, contexts too", async () => {
    const calls: string[] = [];
    const window = windowExport(noting(calls), 512, 256);
    expect(window.size).toBe(256);
    await window.read(bytes(7), 1);
    await window.write?.(bytes(8), 2);
    await window.writeZeroes?.(3, 9, { allocate: true, fast: false });
    await window.trim?.(4, 10);
    expect(calls).toEqual(["read 513+7", "write 514+8", "zero 515+9 true", "trim 516+10"]);
    expect(await window.contexts?.[0]?.status(5, 11, true)).toEqual([{ length: 11, flags: 517 }]);
    expect(window.cache).toBeUndefined();
    expect(() => windowExport(noting([]), 1024, 0)).toThrow(
      "Offset (1024) has to be smaller than the image size (1024)",
    );
  });

  test("what is written through is flushed before it is answered", async () => {
    const calls: string[] = [];
    const careful = writeThrough(noting(calls));
    await careful.write?.(bytes(1), 0);
    await careful.trim?.(0, 5);
    await careful.read(bytes(1), 0);
    expect(calls).toEqual(["write 0+1", "flush", "trim 0+5", "flush", "read 0+1"]);
  });

  test("writes of zeroes become zeroes, others stay what they are", async () => {
    const calls: string[] = [];
    await detectZeroes(noting(calls), false).write?.(bytes(9, 0), 3);
    await detectZeroes(noting(calls), true).write?.(bytes(9, 0), 3);
    await detectZeroes(noting(calls), true).write?.(bytes(9), 3);
    expect(calls).toEqual(["zero 3+9 false", "zero 3+9 true", "write 3+9"]);
  });
});

/** Of a client that stays. */
const stays = new AbortController().signal;

test("a shared export is opened for the first and closed after the last, and again for those who come later", async () => {
  const log: string[] = [];
  const storage = new MemoryStorage(new Uint8Array(512));
  const shared = new SharedExport(async () => {
    log.push("open");
    return {
      forClient: () => storageExport(storage),
      close: async () => {
        await Promise.resolve();
        log.push("closed");
      },
    };
  });
  const [first, second] = await Promise.all([shared.acquire(stays), shared.acquire(stays)]);
  await first.release?.();
  await first.release?.();
  expect(log).toEqual(["open"]);
  const closing = second.release?.();
  const third = await shared.acquire(stays);
  await closing;
  expect(log).toEqual(["open", "closed", "open"]);
  await third.release?.();
  expect(shared.inUse).toBe(false);
});

test("a shared export that can't be opened fails for whoever asked, and is tried again", async () => {
  let fails = true;
  const shared = new SharedExport(async () => {
    if (fails) {
      throw new Error("no");
    }
    return { forClient: () => storageExport(new MemoryStorage(new Uint8Array(512))), close: async () => undefined };
  });
  const results = await Promise.allSettled([shared.acquire(stays), shared.acquire(stays)]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  fails = false;
  expect((await shared.acquire(stays)).size).toBe(512);
});

test("a failure to open a shared export leaves alone what somebody has opened since", async () => {
  const opened = {
    forClient: () => storageExport(new MemoryStorage(new Uint8Array(512))),
    close: async () => undefined,
  };
  let fail = (): void => undefined;
  const failing = new Promise<typeof opened>((_, reject) => {
    fail = () => {
      reject(new Error("no"));
    };
  });
  let openings = 0;
  const shared = new SharedExport(() => (++openings === 1 ? failing : Promise.resolve(opened)));
  const first = shared.acquire(stays);
  await Promise.resolve();
  await Promise.resolve();
  // the second one asks for the opening that fails, and hears of it after the third one has begun another
  const second = shared.acquire(stays);
  fail();
  const third = shared.acquire(stays);
  const results = await Promise.allSettled([first, second, third]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
  await shared.acquire(stays);
  expect(openings).toBe(2);
});

test("a folder has the files that match, and nothing else that a client may ask for", async () => {
  using directory = new ScratchDirectory();
  for (const name of ["a.img", "b.img", "c.txt", ".hidden.img", "odd+name (1).img"]) {
    writeFileSync(directory.file(name), name);
  }
  mkdirSync(directory.file("sub.img"));
  mkdirSync(directory.file("elsewhere"));
  writeFileSync(directory.file("elsewhere/secret.img"), "secret");
  symlinkSync(directory.file("elsewhere/secret.img"), directory.file("leads-out.img"));
  symlinkSync("a.img", directory.file("alias.img"));
  const plan = { directory: directory.path, pattern: "*.img" } as FolderPlan;
  const folder = new FolderExports(plan, () => Promise.reject(new Error("not asked for")));
  expect(await folder.names()).toEqual(["a.img", "alias.img", "b.img", "odd+name (1).img"]);
  const names = [
    "elsewhere/secret.img",
    "../x.img",
    "",
    ".hidden.img",
    "c.txt",
    "leads-out.img",
    "sub.img",
    "a.img\0.img",
  ];
  for (const name of names) {
    expect(await folder.find(name), name).toBeUndefined();
  }
  expect(await folder.find("a.img")).toBeDefined();
  writeFileSync(directory.file("later.img"), "");
  expect(await folder.names()).toContain("later.img");
});

describe("patterns", () => {
  test.each([
    ["*.img", "a.img", true],
    ["*.img", ".img", true],
    ["*.img", "a.img.bak", false],
    ["a*b*c", "abbcbc", true],
    ["a*b*c", "abbcb", false],
    ["a**c", "ac", true],
    ["a*?c", "abc", true],
    ["a*?c", "ac", false],
    ["?", "💾", true],
    ["*?", "", false],
    ["", "", true],
    ["", "a", false],
    ["*", "a\nb", true],
    ["(a+)+[b].$", "(a+)+[b].$", true],
    ["a.c", "abc", false],
  ])("'%s' and '%s': %s", (pattern, name, matches) => {
    expect(matchesPattern(pattern, name)).toBe(matches);
  });

  test("no name keeps a server busy, however many stars a pattern has", async () => {
    const plan = { directory: "/", pattern: "*-*-*-*-*.qcow2" } as FolderPlan;
    const folder = new FolderExports(plan, () => Promise.reject(new Error("not asked for")));
    const start = performance.now();
    for (const length of [255, 256, 4096]) {
      expect(await folder.find("-".repeat(length))).toBeUndefined();
    }
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test("a pattern that no name is long enough for is refused", () => {
    const plan = { directory: "/", pattern: "a".repeat(256) } as FolderPlan;
    expect(() => new FolderExports(plan, () => Promise.reject(new Error("not asked for")))).toThrow("too long");
  });
});

test("snapshots of one name go by their id from the second on", () => {
  const plan = { name: "disk", description: "a disk" } as Parameters<typeof snapshotPlans>[0];
  const snapshots = [
    { id: "1", name: "same" },
    { id: "2", name: "same" },
  ];
  const plans = snapshotPlans(plan, snapshots);
  expect(plans.map(({ name, snapshot }) => [name, snapshot])).toEqual([
    ["disk@same", { id: "1" }],
    ["disk@2", { id: "2" }],
  ]);
});

test("sockets are taken over from whoever started this very process, once", () => {
  const environment = { LISTEN_PID: "77", LISTEN_FDS: "2", LISTEN_FDNAMES: "a:b", HOME: "/" };
  expect(inheritedSockets({ ...environment }, 78)).toEqual([]);
  expect(inheritedSockets({ ...environment, LISTEN_FDS: "x" }, 77)).toEqual([]);
  expect(inheritedSockets(environment, 77)).toEqual([3, 4]);
  expect(environment).toEqual({ HOME: "/" });
  expect(inheritedSockets(environment, 77)).toEqual([]);
});

test("URIs say where clients find an export, whatever its name is", () => {
  const tcp = { host: "127.0.0.1", port: 10809 };
  expect(exportUris("", [tcp, { host: "2001:db8::1", port: 5 }], false)).toEqual([
    "nbd://localhost/",
    "nbd://[2001:db8::1]:5/",
  ]);
  expect(exportUris("a b?/ü", [{ path: "/run/x y" }], true)).toEqual([
    "nbds+unix:///a%20b%3F/%C3%BC?socket=/run/x%20y",
  ]);
  // a socket that was inherited
  expect(exportUris("disk", [{ path: "" }, tcp], false)).toEqual(["nbd://localhost/disk"]);
});

describe("what it tells", () => {
  const now = (): Date => new Date(0);
  const client: NbdPeer = { id: 1, label: "unix", secure: false, identity: undefined, exportName: 'a"b\n' };

  test("logs have a line for each event, and nothing in a name makes a second one", () => {
    const lines: string[] = [];
    const sink = (line: string): void => void lines.push(line);
    const fields = { client: 1, export: "two\nlines", missing: undefined };
    new Log({ format: "text", level: "info", sink, now }).write("info", "ready", fields);
    new Log({ format: "json", level: "info", sink, now }).write("error", "failed", fields);
    new Log({ format: "text", level: "info", sink, now }).write("debug", "answered", fields);
    expect(lines).toEqual([
      '1970-01-01T00:00:00.000Z info ready client=1 export="two\\nlines"\n',
      '{"time":"1970-01-01T00:00:00.000Z","level":"error","event":"failed","client":1,"export":"two\\nlines"}\n',
    ]);
  });

  test("figures count requests, bytes and errors by export and command", async () => {
    const metrics = new Metrics();
    const timed = metrics.timed("disk", noting([]));
    await timed.read(bytes(5), 0);
    metrics.observer.connected?.(client);
    metrics.observer.answered?.(client, { type: 0, offset: 0, length: 100, error: undefined });
    metrics.observer.answered?.(client, { type: 1, offset: 0, length: 7, error: "EIO" });
    metrics.observer.answered?.(client, { type: 4711, offset: 0, length: 7, error: "EINVAL" });
    const lines = metrics.text().split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        "img_nbd_clients 1",
        'img_nbd_requests_total{export="a\\"b\\n",command="read"} 1',
        'img_nbd_bytes_total{export="a\\"b\\n",command="read"} 100',
        'img_nbd_request_errors_total{export="a\\"b\\n",command="write",error="EIO"} 1',
        'img_nbd_requests_total{export="a\\"b\\n",command="unknown"} 1',
        'img_nbd_request_duration_seconds_count{export="disk",command="read"} 1',
        'img_nbd_request_duration_seconds_bucket{export="disk",command="read",le="+Inf"} 1',
      ]),
    );
    expect(Buffer.byteLength(metrics.text())).toBeLessThan(20_000);
  });
});
