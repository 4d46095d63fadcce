import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessagePort } from "node:worker_threads";
import { FileStorage } from "@img/storage-fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { convertSettings } from "../src/convert/convert-options.ts";
import type { CopyJob } from "../src/node/copy-threads.ts";
import { serveJob } from "../src/node/serve-job.ts";
import { sharedImages } from "../src/node/shared-images.ts";
import { openImage } from "../src/node.ts";
import { SharedParts } from "../src/parts/shared-parts.ts";

const MiB = 1024 * 1024;
/** Three parts. */
const size = 24 * MiB;
const contents = new Uint8Array(size).fill(1);
const directory = mkdtempSync(join(tmpdir(), "img-copying-"));
const [from, to] = [join(directory, "from.raw"), join(directory, "to.raw")];

beforeAll(() => {
  writeFileSync(from, contents);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

interface Served {
  readonly unfinished: number;
  readonly done: number;
  readonly written: number;
  readonly told: readonly unknown[];
}

/** Does in this thread what another one is told that helps to copy. */
async function serve(): Promise<Served> {
  await using target = await FileStorage.create(to, { overwrite: true });
  await target.resize(size);
  const spec = { path: from, format: "raw" };
  await using source = await openImage(spec);
  const parts = new SharedParts(size);
  const told: unknown[] = [];
  const port = { postMessage: (message: unknown) => told.push(message) } as unknown as MessagePort;
  const job: CopyJob = {
    kind: "copy",
    sources: sharedImages([source], [spec]),
    target: { path: to, file: target.identity, options: {} },
    settings: { ...convertSettings({}), targetIsZero: true },
    total: size,
    memory: parts.memory,
  };
  serveJob(port, job, () => told.push("loaded"));
  return { unfinished: [...parts.unfinished()].length, done: parts.done, written: parts.written, told };
}

describe("a thread that copies parts", () => {
  it("has finished them when it has closed what it wrote", async () => {
    expect(await serve()).toEqual({ unfinished: 0, done: size, written: size, told: ["loaded", "begun", "helped"] });
    expect(Buffer.compare(readFileSync(to), contents)).toBe(0);
  });

  it("has finished none, and hasn't helped, when closing it fails", async () => {
    const close = FileStorage.prototype[Symbol.dispose];
    const spy = vi.spyOn(FileStorage.prototype, Symbol.dispose).mockImplementation(function (this: FileStorage) {
      close.call(this);
      if (this.writable) {
        throw Object.assign(new Error("EIO"), { code: "EIO" });
      }
    });
    try {
      expect(await serve()).toMatchObject({ unfinished: 3, written: 0, told: ["loaded", "begun"] });
    } finally {
      spy.mockRestore();
    }
  });
});
