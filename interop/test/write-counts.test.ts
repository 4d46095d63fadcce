import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";
import { CountingStorage } from "@img/testing";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const TiB = 2 ** 40;
const clusterSize = 64 * KiB;

let directory: TemporaryDirectory;
beforeAll(() => {
  directory = new TemporaryDirectory();
});
afterAll(() => {
  directory[Symbol.dispose]();
});

interface Counted {
  readonly access: FormatAccess;
  readonly storage: CountingStorage;
}

async function openCounted(path: string): Promise<Counted> {
  const storage = new CountingStorage(await FileStorage.open(path, { writable: true, blocking: "always" }));
  return { storage, access: await qcow2.open(storage, { writable: true }) };
}

function make(name: string, size: string, ...options: readonly string[]): string {
  const path = directory.file(name);
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, path, size]);
  return path;
}

async function writeIn(world: string, access: FormatAccess, buffer: Uint8Array, offset: number): Promise<void> {
  if (world === "sync") {
    runSync(access.io.write(IoVector.single(buffer), offset));
  } else {
    await access.write(buffer, offset);
  }
}

function expectClean(path: string): void {
  expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).exitCode).toBe(0);
}

describe("how much is written", () => {
  for (const world of ["async", "sync"]) {
    for (const length of [64 * KiB, MiB]) {
      const name = `${String(length / KiB)} KiB, ${world}`;
      test(`256 MiB of new data in writes of ${name}: few metadata writes, and no sync before the flush`, async () => {
        const path = make(`allocating-${String(length)}-${world}.qcow2`, "1G");
        const { access, storage } = await openCounted(path);
        const buffer = new Uint8Array(length).fill(0x5a);
        // the first write may clear bits of the header
        await writeIn(world, access, buffer, 0);
        storage.reset();
        const total = 256 * MiB;
        for (let offset = length; offset < total; offset += length) {
          await writeIn(world, access, buffer, offset);
        }
        const data = storage.requests.filter((each) => each.method === "write" && each.length >= clusterSize);
        expect(data.reduce((sum, each) => sum + each.length, 0)).toBeGreaterThanOrEqual(total - length);
        expect(data.length).toBeLessThanOrEqual(total / length + 8);
        const rest = storage.counts.write.calls + storage.counts.writeZeroes.calls - data.length;
        console.log(`${name}: ${String(rest)} metadata writes and ${String(storage.calls("sync"))} syncs in 256 MiB`);
        expect(rest / (total / MiB)).toBeLessThanOrEqual(0.25);
        expect(storage.calls("sync")).toBe(0);
        expect(storage.counts.read.bytes).toBeLessThanOrEqual(256 * KiB);
        storage.reset();
        await access.flush();
        expect(storage.calls("write")).toBeGreaterThan(0);
        expect(storage.counts.write.bytes).toBeLessThanOrEqual(MiB);
        await access.close();
        expectClean(path);
      });
    }

    test(`a rewrite of allocated clusters is one storage write and nothing else, ${world}`, async () => {
      const path = make(`rewriting-${world}.qcow2`, "64M");
      runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 1 0 64M", path]);
      const { access, storage } = await openCounted(path);
      // a part of an L2 table is read at a time: 32 MiB of the disk
      await writeIn(world, access, new Uint8Array(4096), 0);
      await writeIn(world, access, new Uint8Array(4096), 32 * MiB);
      for (const [offset, length] of [
        [4096, 4096],
        [100, 1],
        [clusterSize - 512, 1024],
        [10 * MiB, 2 * MiB],
        [63 * MiB, MiB],
      ] as const) {
        storage.reset();
        await writeIn(world, access, new Uint8Array(length).fill(7), offset);
        expect(storage.requests).toHaveLength(1);
        expect(storage.requests[0]).toMatchObject({ method: "write", length, sync: world === "sync" });
      }
      storage.reset();
      await access.flush();
      expect(storage.calls("write", "writeZeroes", "discard", "resize")).toBe(0);
      await access.close();
      expectClean(path);
    });
  }

  test("opening for writing, flushing and closing without a change writes nothing", async () => {
    for (const options of ["cluster_size=64k", "lazy_refcounts=on", "compat=0.10", "extended_l2=on"]) {
      const path = make("untouched.qcow2", "64M", "-o", options);
      runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 1 0 1M", path]);
      const before = readFileSync(path);
      const { access, storage } = await openCounted(path);
      await access.read(new Uint8Array(2 * MiB), 0);
      await access.flush();
      await access.close();
      expect(storage.calls("write", "writeZeroes", "discard", "resize")).toBe(0);
      expect(readFileSync(path).equals(before)).toBe(true);
    }
  });

  test("a second flush writes nothing", async () => {
    const { access, storage } = await openCounted(make("flushed.qcow2", "64M"));
    await access.write(new Uint8Array(MiB).fill(1), 5 * MiB);
    await access.flush();
    storage.reset();
    await access.flush();
    expect(storage.calls("write", "writeZeroes", "discard", "resize", "sync")).toBe(0);
    await access.close();
  });
});

describe("memory of converting 1 TiB with little data to qcow2", () => {
  const program = fileURLToPath(new URL("../../apps/cli/dist/img.js", import.meta.url));

  test.each([
    ["plain", []],
    ["compressed", ["-c"]],
  ] as const)("%s: at most 150 MiB are resident", (_kind, options) => {
    if (!existsSync(program)) {
      throw new Error(`there is no ${program}: build the command line first`);
    }
    const source = make("sparse.qcow2", String(TiB), "-o", "cluster_size=64k");
    const islands = Array.from(
      { length: 64 },
      (_, index) => `write -q -P ${String(index + 1)} ${String(index * 16)}G 1M`,
    );
    runTool("qemu-io", ["-f", "qcow2", source], { input: islands.join("\n") });
    const target = directory.file("converted.qcow2");
    writeFileSync(
      directory.file("peak.mjs"),
      `import { writeFileSync } from "node:fs";
       process.on("exit", () => writeFileSync(process.env.IMG_PEAK_FILE, String(process.resourceUsage().maxRSS)));`,
    );
    const args = ["convert", "-f", "qcow2", "-O", "qcow2", ...options, source, target];
    const child = spawnSync(process.execPath, ["--import", directory.file("peak.mjs"), program, ...args], {
      encoding: "utf8",
      env: { ...process.env, IMG_PEAK_FILE: directory.file("peak") },
    });
    expect(child).toMatchObject({ status: 0, stderr: "" });
    const peak = Number(readFileSync(directory.file("peak"), "utf8")) * KiB;
    console.log(
      `1 TiB to qcow2 ${options.join(" ")}: ${(peak / MiB).toFixed(0)} MiB resident, file of ${String(statSync(target).size)}`,
    );
    expect(peak).toBeLessThanOrEqual(150 * MiB);
    expectClean(target);
    expect(runTool("qemu-img", ["compare", "-f", "qcow2", "-F", "qcow2", source, target]).exitCode).toBe(0);
  });
});
