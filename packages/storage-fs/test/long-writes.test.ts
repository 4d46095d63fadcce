import { readFileSync } from "node:fs";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import { afterEach, describe, expect, it, vi } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern } from "./support/bytes.ts";
import { scratch } from "./support/places.ts";

/** What the host was asked to write, in bytes, and what it does instead when a test wants it to. */
const asked: number[] = [];
let instead: ((length: number) => number | Error) | undefined;

vi.mock("node:fs", async (importOriginal) => {
  const fs = await importOriginal<typeof import("node:fs")>();
  type Done = (error: Error | null, count: number) => void;
  const ask = (length: number): number | Error => {
    asked.push(length);
    return instead?.(length) ?? length;
  };
  const total = (buffers: readonly Uint8Array[]): number => buffers.reduce((sum, { length }) => sum + length, 0);
  return {
    ...fs,
    writeSync: (fd: number, from: Uint8Array, start: number, length: number, at: number): number => {
      const count = ask(length);
      if (count instanceof Error) {
        throw count;
      }
      return fs.writeSync(fd, from, start, count, at);
    },
    writevSync: (fd: number, buffers: readonly Uint8Array[], at: number): number => {
      ask(total(buffers));
      return fs.writevSync(fd, buffers, at);
    },
    write: (fd: number, from: Uint8Array, start: number, length: number, at: number, done: Done): void => {
      const count = ask(length);
      if (count instanceof Error) {
        setImmediate(done, count, 0);
      } else {
        fs.write(fd, from, start, count, at, done);
      }
    },
    writev: (fd: number, buffers: readonly Uint8Array[], at: number, done: Done): void => {
      ask(total(buffers));
      fs.writev(fd, buffers, at, done);
    },
  };
});

const KiB = 1024;
const most = 512 * KiB;
const length = 7 * most + 1001;
const offset = 12_345;

afterEach(() => {
  asked.length = 0;
  instead = undefined;
});

describe.each(["always", "never"] as const)("a long write, blocking %s", (blocking) => {
  const directory = scratch();
  const path = join(directory, "file");
  const open = (): FileStorage => FileStorage.createSync(path, { overwrite: true, blocking });
  const written = (): Uint8Array => readFileSync(path).subarray(offset);
  const bytes = pattern(length);

  it("asks the host for half a megabyte at a time", async () => {
    await using storage = open();
    await storage.write(IoVector.single(bytes), offset);
    expect(storage.size).toBe(offset + length);
    expect(Buffer.compare(written(), bytes)).toBe(0);
    expect(asked).toEqual([most, most, most, most, most, most, most, 1001]);
  });

  it("does so whatever buffers the bytes are in", async () => {
    await using storage = open();
    const cuts = [0, 1, most - 1, most + 5, 3 * most, 5 * most + 77, length];
    const buffers = cuts.slice(1).map((cut, index) => bytes.subarray(cuts[index], cut));
    await storage.write(IoVector.from(buffers), offset);
    expect(Buffer.compare(written(), bytes)).toBe(0);
    expect(asked.reduce((sum, each) => sum + each, 0)).toBe(length);
    expect(Math.max(...asked)).toBe(most);
  });

  it("goes on where the host stops early", async () => {
    await using storage = open();
    let calls = 0;
    instead = (wanted) => (++calls % 3 === 0 ? Math.min(wanted, 1000) : wanted);
    await storage.write(IoVector.single(bytes), offset);
    expect(Buffer.compare(written(), bytes)).toBe(0);
    expect(calls).toBeGreaterThan(8);
  });

  it("fails once, with what went wrong first, and writes nothing afterwards", async () => {
    await using storage = open();
    let calls = 0;
    instead = (wanted) =>
      ++calls > 2 ? Object.assign(new Error(`EIO: call ${String(calls)}`), { code: "EIO" }) : wanted;
    const failing = async (): Promise<void> => storage.write(IoVector.single(bytes), offset);
    await expect(failing()).rejects.toThrow("EIO: call 3");
    const before = calls;
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(before);
    expect(storage.size).toBe(readFileSync(path).length);
  });
});
