import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, perform, readStorage, runAsync, runSync, type Io } from "@img/format-core";
import { IoVector, isZero } from "@img/io-vector";
import { raw } from "@img/raw";
import { blobStorage } from "@img/storage-adapters";
import { FileStorage } from "@img/storage-fs";
import { repeat, repeatAsync, type MicroGroup } from "./micro.ts";

const KiB = 1024;
const size = 16 * KiB * KiB;

/** Bytes from one request to the next: far, and a multiple of 4 KiB. */
const step = 1001 * 4 * KiB;

/** Buffers, the runner, and storages: what lies below the formats. */
export async function storageMicros(): Promise<MicroGroup> {
  const directory = mkdtempSync(join(tmpdir(), "img-micro-"));
  const file = await FileStorage.create(join(directory, "disk.raw"), { blocking: "always" });
  const memory = new MemoryStorage(new Uint8Array(size).fill(1));
  const blob = blobStorage(new Blob([new Uint8Array(size)]));
  const disk = await raw.open(new MemoryStorage(new Uint8Array(size).fill(1)));
  const block = new Uint8Array(4 * KiB);
  const vector = IoVector.single(block);
  await file.write(IoVector.single(new Uint8Array(size).fill(1)), 0);
  const zeroes = new Uint8Array(64 * KiB);
  return {
    cases: [
      { package: "io-vector", name: "isZero, 64 KiB", bytes: zeroes.length, run: repeat(() => isZero(zeroes)) },
      { package: "io-vector", name: "slice of 16 buffers", run: repeat(sliceOf16()) },
      { package: "format-core", name: "runSync, one step", run: repeat(() => runSync(step1())) },
      { package: "format-core", name: "runAsync, one step", run: repeatAsync(() => runAsync(step1())) },
      {
        ...{ package: "format-core", name: "readStorage of memory, 4 KiB", bytes: block.length },
        run: repeat((index) => runSync(readStorage(memory, vector, (index * step) % size))),
      },
      {
        ...{ package: "raw", name: "read of memory, 4 KiB", bytes: block.length },
        run: repeatAsync((index) => disk.read(block, (index * step) % size)),
      },
      {
        ...{ package: "storage-fs", name: "readSync of a cached file, 4 KiB", bytes: block.length },
        run: repeat((index) => {
          file.readSync(vector, (index * step) % size);
        }),
      },
      {
        ...{ package: "storage-fs", name: "writeSync to a cached file, 4 KiB", bytes: block.length },
        run: repeat((index) => {
          file.writeSync(vector, (index * step) % size);
        }),
      },
      {
        ...{ package: "storage-adapters", name: "read of a Blob, 4 KiB", bytes: block.length },
        run: repeatAsync(async (index) => blob.read(vector, (index * step) % size)),
      },
    ],
    close: async () => {
      await file.close();
      await disk.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function* step1(): Io<number> {
  return yield* perform({ label: "step", async: () => 1, sync: () => 1 });
}

function sliceOf16(): () => void {
  const vector = IoVector.from(Array.from({ length: 16 }, () => new Uint8Array(4 * KiB)));
  return () => {
    vector.slice(5 * KiB, 50 * KiB);
  };
}
