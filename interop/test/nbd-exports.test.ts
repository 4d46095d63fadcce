import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { formatExport, NbdServer, type FormatExportOptions } from "@img/nbd";
import { listenNbd } from "@img/nbd/node";
import { openImage } from "@img/operations/node";
import { expect, test } from "vitest";
import { runClient as tool } from "../src/run-client.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const mib = 1024 * 1024;

/** Commands of qemu-io on an export; their output. */
function qemuIo(uri: string, ...commands: readonly string[]): Promise<string> {
  return tool("qemu-io", "-f", "raw", ...commands.flatMap((command) => ["-c", command]), uri);
}

interface Served extends AsyncDisposable {
  readonly uri: string;
}

/** An image that we serve on a Unix socket as long as it is in scope. */
async function serve(path: string, options: FormatExportOptions & { readonly write?: boolean } = {}): Promise<Served> {
  const writable = options.write === true;
  const access = await openImage({ path, format: "qcow2", gate: "allow-all", writable, blocking: "cached" });
  const server = new NbdServer(new Map([["", formatExport(access, options)]]));
  const listener = await listenNbd(server, { kind: "unix", path: `${path}.ours` });
  return {
    uri: `nbd+unix:///?socket=${path}.ours`,
    [Symbol.asyncDispose]: async () => {
      await listener.close();
      await server.close({ grace: 1000 });
      await access.close();
    },
  };
}

/** The same by qemu-nbd, read-only. */
async function serveByQemu(path: string): Promise<Served> {
  const socket = `${path}.qemu`;
  const child = spawn("qemu-nbd", ["-t", "-r", "-A", "-e", "0", "-f", "qcow2", "-k", socket, path]);
  while (!existsSync(socket)) {
    await sleep(10);
  }
  return {
    uri: `nbd+unix:///?socket=${socket}`,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
    },
  };
}

interface MapEntry {
  readonly offset: number;
  readonly length: number;
  readonly type: number;
}

/** What a context says about a whole export, neighbours joined. */
async function mapOf(uri: string, context: string): Promise<MapEntry[]> {
  return joined(JSON.parse(await tool("nbdinfo", "--json", `--map=${context}`, uri)) as MapEntry[]);
}

function joined(entries: readonly MapEntry[]): MapEntry[] {
  const result: { offset: number; length: number; type: number }[] = [];
  for (const { offset, length, type } of entries) {
    const last = result.at(-1);
    if (last?.type === type) {
      last.length += length;
    } else {
      result.push({ offset, length, type });
    }
  }
  return result;
}

/** Three layers: the lowest shorter than the rest, each with data, zeroes and nothing in other places; compressed clusters too. */
function makeChain(directory: TemporaryDirectory): string {
  const [base, middle, top] = ["base", "middle", "top"].map((name) => directory.file(`${name}.qcow2`));
  const source = directory.file("source.raw");
  runTool("qemu-img", ["create", "-q", "-f", "raw", source, "5M"]);
  runTool("qemu-io", ["-f", "raw", "-c", "write -P 1 0 2M", "-c", "write -P 2 3M 512k", source]);
  runTool("qemu-img", ["convert", "-c", "-O", "qcow2", source, base!]);
  const overlay = ["create", "-q", "-f", "qcow2", "-F", "qcow2"];
  runTool("qemu-img", [...overlay, "-b", base!, middle!, "8M"]);
  runTool("qemu-io", ["-c", "write -P 3 1M 192k", "-c", "write -z 1536k 128k", "-c", "write -P 4 6M 64k", middle!]);
  runTool("qemu-img", [...overlay, "-b", middle!, top!, "8M"]);
  runTool("qemu-io", ["-c", "write -P 5 64k 64k", "-c", "write -z -u 256k 256k", "-c", "write -P 6 7M 1M", top!]);
  runTool("qemu-io", ["-c", "write -P 7 5M 128k", "-c", "write -z 5M 64k", top!]);
  return top!;
}

test("a chain of images shows the same contents, holes and depths as by qemu-nbd", async () => {
  using directory = new TemporaryDirectory();
  const image = makeChain(directory);
  await using ours = await serve(image, { allocationDepth: true });
  await using theirs = await serveByQemu(image);
  await tool("qemu-img", "compare", "-f", "raw", "-F", "raw", ours.uri, theirs.uri);
  const depth = "qemu:allocation-depth";
  expect(await mapOf(ours.uri, depth)).toEqual(await mapOf(theirs.uri, depth));
  // zeroes that have a place in the file aren't a hole: qemu-nbd says that they are
  const allocation = await mapOf(ours.uri, "base:allocation");
  expect(allocation.filter(({ type }) => type === 2)).toEqual([{ offset: 5 * mib, length: 64 * 1024, type: 2 }]);
  expect(joined(allocation.map((extent) => ({ ...extent, type: extent.type === 2 ? 3 : extent.type })))).toEqual(
    await mapOf(theirs.uri, "base:allocation"),
  );
});

test("four connections write at random through fio, which finds everything again, and the image is sound", async () => {
  using directory = new TemporaryDirectory();
  const image = directory.file("disk.qcow2");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", image, "64M"]);
  {
    await using served = await serve(image, { write: true });
    const job = ["--name=random", "--ioengine=nbd", `--uri=${served.uri}`, "--rw=randwrite", "--bsrange=512-64k"];
    const verify = [
      "--verify=crc32c",
      "--do_verify=1",
      "--verify_fatal=1",
      "--fsync=50",
      "--randseed=7",
      "--verify_state_save=0",
    ];
    const shape = ["--size=6m", "--offset_increment=8m", "--numjobs=4", "--iodepth=16", "--thread"];
    await tool("fio", ...job, ...verify, ...shape);
  }
  expect(runTool("qemu-img", ["check", "-f", "qcow2", image]).stdout).toContain("No errors");
});

test("a copy of a chain onto a served image is the chain's contents, and leaves holes", async () => {
  using directory = new TemporaryDirectory();
  const image = makeChain(directory);
  const copy = directory.file("copy.qcow2");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", copy, "8M"]);
  {
    await using from = await serve(image);
    await using to = await serve(copy, { write: true });
    await tool("nbdcopy", "--connections=4", "--flush", from.uri, to.uri);
  }
  runTool("qemu-img", ["compare", "-f", "qcow2", "-F", "qcow2", image, copy]);
  expect(runTool("qemu-img", ["check", "-f", "qcow2", copy]).stdout).toContain("No errors");
  const map = JSON.parse(runTool("qemu-img", ["map", "--output=json", copy]).stdout) as { readonly data: boolean }[];
  expect(map.some(({ data }) => !data)).toBe(true);
});

test("zeroes and discards do what they promise, and no backing image shows through", async () => {
  using directory = new TemporaryDirectory();
  const base = directory.file("base.qcow2");
  const image = directory.file("top.qcow2");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"]);
  runTool("qemu-io", ["-c", "write -P 0x11 0 8M", base]);
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, image]);
  {
    await using served = await serve(image, { write: true });
    await qemuIo(
      served.uri,
      "write -P 0x22 0 4M",
      // freed, kept allocated, kept allocated where nothing was, fast, discarded, and ends inside of clusters
      "write -z -u 0 1M",
      "write -z 1M 1M",
      "write -z 5M 1M",
      "write -z -u -n 6M 1M",
      "discard 2M 1M",
      "write -z -u 3100k 100k",
    );
    const output = await qemuIo(
      served.uri,
      "read -P 0 0 2M",
      "read -P 0x22 3M 28k",
      "read -P 0 3100k 100k",
      "read -P 0x22 3200k 896k",
      "read -P 0x11 4M 1M",
      "read -P 0 5M 2M",
      "read -P 0x11 7M 1M",
    );
    expect(output).not.toMatch(/fail|verif/i);
    // anything may be read there now, but not what lies below
    await expect(qemuIo(served.uri, "read -P 0x11 2M 1M")).rejects.toThrow();
  }
  const map = JSON.parse(runTool("qemu-img", ["map", "--output=json", image]).stdout) as {
    readonly start: number;
    readonly length: number;
    readonly data: boolean;
    readonly depth: number;
  }[];
  const dataAt = (offset: number): boolean | undefined =>
    map.find(({ start, length }) => start <= offset && offset < start + length)?.data;
  expect([0, 1, 2, 5, 6].map((at) => dataAt(at * mib))).toEqual([false, true, false, true, false]);
  expect(runTool("qemu-img", ["check", "-f", "qcow2", image]).stdout).toContain("No errors");
});

test("fast zeroes are refused where the format has none, and nothing is changed", async () => {
  using directory = new TemporaryDirectory();
  const base = directory.file("base.qcow2");
  const image = directory.file("old.qcow2");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"]);
  runTool("qemu-io", ["-c", "write -P 0x11 0 8M", base]);
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-F", "qcow2", "-b", base, image]);
  await using served = await serve(image, { write: true });
  for (const zero of ["write -z -u -n 1M 1M", "write -z -n 1M 1M", "write -z -u -n 1100k 50k"]) {
    await expect(qemuIo(served.uri, zero), zero).rejects.toThrow(/not supported/i);
  }
  expect(await qemuIo(served.uri, "read -P 0x11 0 8M", "write -z -u 1M 1M", "read -P 0 1M 1M")).not.toMatch(
    /fail|verif/i,
  );
});
