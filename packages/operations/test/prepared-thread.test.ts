import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import { MemoryStorage, runAsync } from "@img/format-core";
import { raw } from "@img/raw";
import { afterAll, describe, expect, it } from "vitest";
import { PartThreads } from "../src/node/part-threads.ts";
import { PreparedThread } from "../src/node/prepared-thread.ts";
import { ThreadStarter } from "../src/node/thread-starter.ts";
import { SharedParts } from "../src/parts/shared-parts.ts";

const MiB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "img-prepared-"));

function writeEntry(name: string, text: string): URL {
  const path = join(directory, name);
  writeFileSync(path, text);
  return pathToFileURL(path);
}

/** Tells what it was told, and how: when it was started, or by a message. */
const echo = writeEntry(
  "echo.mjs",
  `import { parentPort, workerData } from "node:worker_threads";
   if (workerData !== null) {
     parentPort.postMessage({ started: workerData });
   } else {
     parentPort.once("message", (told) => {
       parentPort.postMessage({ told });
     });
   }`,
);

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function started(entry: URL): PreparedThread {
  const thread = PreparedThread.start(entry);
  if (thread === undefined) {
    throw new Error("no thread was started");
  }
  return thread;
}

function answerOf(worker: Worker | undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker?.once("message", resolve);
    worker?.once("error", reject);
  });
}

describe.skipIf(availableParallelism() < 2)(
  "a thread that was started beforehand (for which there is a second processor)",
  () => {
    it("gets the first job, once; others get threads of their own", async () => {
      const prepared = started(echo);
      const starter = new ThreadStarter({ threads: 3, workerEntry: echo, prepared });
      expect(starter.isPrepared).toBe(true);
      const first = starter.start({ job: 1 });
      expect(starter.isPrepared).toBe(false);
      const second = starter.start({ job: 2 });
      expect(await Promise.all([answerOf(first), answerOf(second)])).toEqual([
        { told: { job: 1 } },
        { started: { job: 2 } },
      ]);
      expect(prepared.take({ job: 3 })).toBeUndefined();
    });

    it("lets things be done between its beginning and its work", async () => {
      const prepared = started(echo);
      const order: string[] = [];
      prepared.whenBegun(() => order.push("begun"));
      const worker = prepared.take({ job: 1 });
      expect(order).toEqual([]);
      await (worker && answerOf(worker));
      order.push("worked");
      prepared.whenBegun(() => order.push("later"));
      expect(order).toEqual(["begun", "worked", "later"]);
    });

    it("helps with parts at once, however short the images are", async () => {
      const entry = writeEntry(
        "help.mjs",
        `import { parentPort } from "node:worker_threads";
       parentPort.once("message", ({ memory }) => {
         parentPort.postMessage("begun");
         Atomics.add(new Int32Array(memory, 0, 1), 0, 1);
         parentPort.postMessage("helped");
       });`,
      );
      const starter = new ThreadStarter({ threads: 2, workerEntry: entry, prepared: started(entry) });
      const images = [await raw.open(new MemoryStorage(new Uint8Array(MiB)))];
      const helper = new PartThreads(({ total, memory }) => ({ kind: "test", total, memory }), images, starter);
      const parts = new SharedParts(MiB);
      await runAsync(helper.consider(parts));
      for (let left = 2000; helper.helped === 0 && left > 0; left--) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await runAsync(helper.end());
      expect(helper.helped).toBe(1);
      expect(parts.take()).toBeUndefined();
    });

    it("can be ended when there is nothing to do", async () => {
      const prepared = started(echo);
      await prepared.end();
      expect(prepared.isWaiting).toBe(false);
      expect(prepared.take({ job: 1 })).toBeUndefined();
    });

    it("is replaced when it has failed by itself", async () => {
      const prepared = started(writeEntry("broken.mjs", `throw new Error("broken");`));
      while (prepared.isWaiting) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const starter = new ThreadStarter({ threads: 2, workerEntry: echo, prepared });
      expect(await answerOf(starter.start({ job: 1 }))).toEqual({ started: { job: 1 } });
    });

    it("isn't there without a module for it", () => {
      expect(PreparedThread.start(pathToFileURL(join(directory, "missing.js")))).toBeUndefined();
    });
  },
);
