import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { MemoryStorage, runAsync } from "@img/format-core";
import { raw } from "@img/raw";
import { PartThreads } from "../../src/node/part-threads.ts";
import { PreparedThread } from "../../src/node/prepared-thread.ts";
import { ReaderThreads } from "../../src/node/reader-threads.ts";
import { ThreadStarter } from "../../src/node/thread-starter.ts";
import { SharedParts } from "../../src/parts/shared-parts.ts";

// A program that ends a thread while that loads native code.
const workerEntry = new URL("./declaring-worker.js", import.meta.url);
const GiB = 1024 * 1024 * 1024;

async function begun(): Promise<void> {
  while (!existsSync(process.env["BEGUN"] ?? "")) {
    await delay(1);
  }
}

class Long extends MemoryStorage {
  override allocatedSize(): number {
    return GiB;
  }
}

const ways: Readonly<Record<string, () => Promise<void>>> = {
  async readers() {
    const readers = new ReaderThreads({ specs: [], files: [] }, new ThreadStarter({ threads: 1, workerEntry }));
    await delay(30);
    readers.consider({ done: 1, total: GiB, packed: true });
    await begun();
    await runAsync(readers.close());
  },
  async parts() {
    const images = [await raw.open(new Long(new Uint8Array(1)))];
    const starter = new ThreadStarter({ threads: 2, workerEntry });
    const helper = new PartThreads(({ total, memory }) => ({ kind: "test", total, memory }), images, starter);
    await runAsync(helper.consider(new SharedParts(1)));
    await begun();
    await runAsync(helper.end());
  },
  async exit() {
    PreparedThread.start(workerEntry)?.take({ kind: "read" });
    await begun();
    process.exit(0);
  },
};

await ways[process.argv[2] ?? ""]?.();
console.log("ended");
