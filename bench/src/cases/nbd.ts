import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import type { Images } from "../input/images.ts";
import type { Case, Run, Sample } from "../run/measurement.ts";
import { NbdServerProcess } from "../run/nbd-server.ts";
import type { Profile } from "../run/profile.ts";
import type { Programs } from "../run/programs.ts";
import { runProgram } from "../run/run-program.ts";
import { checkCopy } from "./conversions.ts";

/** Who serves. */
type Server = "ours" | "qemu-nbd" | "nbdkit" | BareServer;

/** The bare program: it has the disk in its file, or in memory. */
type BareServer = "bare-file" | "bare-memory";

/** What is served. */
interface Disk {
  readonly format: "raw" | "qcow2";
  readonly path: string;
  readonly writable: boolean;
  /** A file with keys for TLS. */
  readonly keys?: string;
}

/** A program that uses what is served. @returns seconds, where the program tells better than the clock */
type Client = (uri: string) => Sample;

/** What a client does with a server. */
interface Use {
  readonly name: string;
  readonly profile: Profile;
  readonly target?: number;
  readonly disk: () => Disk;
  readonly client: Client;
  /** Each run begins with a disk where nothing has been written yet. Default: the server has done the same once before. */
  readonly fresh?: boolean;
  readonly verify?: () => void;
}

/** nbdcopy sometimes waits for ever for a reply that lies unread in its socket. */
const patience = 60_000;
const attempts = 3;

/** Lengths of nbdcopy's requests, KiB. */
const sizes = [64, 256, 1024] as const;

/**
 * Servers of the network block device protocol, used by the same clients over Unix sockets. The clock is the client's, processor time and memory
 * are the server's. Each server is started anew for each run, and has served as much once before.
 */
export function nbdCases(images: Images, programs: Programs): Case[] {
  const uses = [...fioUses(images), ...nbdcopyUses(images), ...tlsUses(images)];
  const against = (use: Use, theirs: Exclude<Server, "ours">): Case => {
    const run = (server: Server) => (warmUp: boolean) => measureServer(images, programs, server, use, warmUp);
    return {
      group: "NBD",
      name: `NBD ${use.name}`,
      profile: use.profile,
      ...(use.target === undefined ? {} : { target: use.target }),
      ours: run("ours"),
      theirs: run(theirs),
      ...(use.verify === undefined ? {} : { verify: use.verify }),
    };
  };
  return [
    ...uses.map((use) => against(use, "qemu-nbd")),
    ...uses
      .filter(({ name }) => /^4 KiB random reads, depth 32|^nbdcopy, .* of 256 KiB, 4/.test(name))
      .map(({ target: _, ...use }) =>
        against({ ...use, name: `${use.name} (against nbdkit)`, profile: "full" }, "nbdkit"),
      ),
  ];
}

/** The same as the case of this name does, of the bare program instead of ours. @throws Error where there is no such case */
export function bareServerRun(images: Images, programs: Programs, name: string, server: BareServer): Run {
  const use = [...fioUses(images), ...nbdcopyUses(images)].find((each) => `NBD ${each.name}` === name);
  if (use === undefined) {
    throw new Error(`${name}: no such case`);
  }
  return (warmUp) => measureServer(images, programs, server, use, warmUp);
}

function fioUses(images: Images): Use[] {
  const reading = { disk: () => served(images.raw("full")) };
  const writing = { disk: () => target(images) };
  const iops = 1 / 2.5;
  return [
    {
      ...{ name: "4 KiB random reads, depth 32", profile: "quick", target: iops, ...reading },
      client: fio(images, "randread", 4, 1, 32),
    },
    {
      ...{ name: "4 KiB random reads, depth 1", profile: "full", ...reading },
      client: fio(images, "randread", 4, 1, 1),
    },
    {
      ...{ name: "4 KiB random reads, 4 connections, depth 16", profile: "default", target: iops, ...reading },
      client: fio(images, "randread", 4, 4, 16),
    },
    {
      ...{ name: "4 KiB random writes, depth 32", profile: "default", ...writing },
      client: fio(images, "randwrite", 4, 1, 32),
    },
    {
      ...{ name: "64 KiB sequential reads by fio, depth 8", profile: "full", ...reading },
      client: fio(images, "read", 64, 1, 8),
    },
    {
      ...{ name: "1 MiB sequential writes by fio, depth 8", profile: "full", ...writing },
      client: fio(images, "write", 1024, 1, 8),
    },
  ];
}

function nbdcopyUses(images: Images): Use[] {
  const shapes = sizes.flatMap((size) => [1, 4].map((count) => ({ size, count })));
  const profile = (size: number, count: number): Profile =>
    count === 4 ? (size === 256 ? "default" : "quick") : size === 256 ? "default" : "full";
  const empty = images.path("served.qcow2");
  return [
    ...shapes.map(({ size, count }) => ({
      name: `nbdcopy, reads of ${kib(size)}, ${connections(count)}`,
      profile: profile(size, count),
      target: 1,
      disk: () => served(images.raw("full")),
      client: readAll(size, count),
    })),
    ...shapes.map(({ size, count }) => ({
      name: `nbdcopy, writes of ${kib(size)}, ${connections(count)}`,
      profile: profile(size, count),
      target: 1 / 1.2,
      disk: () => target(images),
      client: writeAll(images, size, count),
      verify: () => {
        checkCopy("raw", images.raw("full"), "raw", images.path("served.raw"));
      },
    })),
    {
      ...{ name: "nbdcopy, reads of qcow2, 256 KiB, 4 connections", profile: "default", target: 1 },
      disk: () => ({ ...served(images.qcow2("full")), format: "qcow2" }),
      client: readAll(256, 4),
    },
    {
      ...{ name: "nbdcopy, reads of zlib qcow2, 256 KiB, 4 connections", profile: "default", target: 1 },
      disk: () => ({ ...served(images.qcow2("zlib")), format: "qcow2" }),
      client: readAll(256, 4),
    },
    {
      ...{ name: "nbdcopy, writes to an empty qcow2, 256 KiB, 4 connections", profile: "default", fresh: true },
      disk: () => {
        runProgram("qemu-img", ["create", "-q", "-f", "qcow2", empty, `${String(images.size)}M`]);
        return { format: "qcow2", path: empty, writable: true };
      },
      client: writeAll(images, 256, 4),
    },
  ];
}

function tlsUses(images: Images): Use[] {
  const keys = images.path("keys.psk");
  const withKeys = (disk: Disk): Disk => {
    // the name is what QEMU looks for
    writeFileSync(keys, `bench:${"5a".repeat(32)}\n`);
    return { ...disk, keys };
  };
  return [
    {
      ...{ name: "nbdcopy, reads over TLS, 256 KiB", profile: "quick", target: 1 / 1.2 },
      disk: () => withKeys(served(images.raw("full"))),
      client: readAll(256, 1),
    },
    {
      ...{ name: "nbdcopy, writes over TLS, 256 KiB", profile: "default", target: 1 / 1.2 },
      disk: () => withKeys(target(images)),
      client: writeAll(images, 256, 1),
    },
  ];
}

const kib = (size: number): string => (size < 1024 ? `${String(size)} KiB` : `${String(size / 1024)} MiB`);
const connections = (count: number): string => (count === 1 ? "1 connection" : `${String(count)} connections`);

function served(path: string): Disk {
  return { format: "raw", path, writable: false };
}

/** A disk to write to: everything is allocated, and everything is another byte than it will be. */
function target(images: Images): Disk {
  const path = images.path("served.raw");
  if (!existsSync(path)) {
    writeFileSync(path, "");
    for (let index = 0; index < images.size; index++) {
      appendFileSync(path, new Uint8Array(2 ** 20).fill(0xff));
    }
  }
  return { format: "raw", path, writable: true };
}

async function measureServer(
  images: Images,
  programs: Programs,
  kind: Server,
  { disk: make, client, fresh }: Use,
  warmUp: boolean,
): Promise<Sample> {
  const socket = images.path(`${kind}.sock`);
  const disk = make();
  await using server = await NbdServerProcess.start(...commandOf(kind, disk, socket, programs), socket);
  const uri =
    disk.keys === undefined
      ? `nbd+unix:///?socket=${socket}`
      : `nbds+unix://bench@/?socket=${socket}&tls-psk-file=${disk.keys}`;
  if (!warmUp && fresh !== true) {
    client(uri);
  }
  const before = server.cpu();
  const { wall } = client(uri);
  const after = server.cpu();
  const memory = server.memory();
  return {
    wall,
    ...(before === undefined || after === undefined ? {} : { cpu: after - before }),
    ...(memory === undefined ? {} : { memory }),
  };
}

function commandOf(
  kind: Server,
  { format, path, writable, keys }: Disk,
  socket: string,
  programs: Programs,
): [command: string, args: readonly string[]] {
  const access = writable ? "rw" : "ro";
  switch (kind) {
    case "ours":
      return [process.execPath, [programs.child("serve"), socket, format, path, access, ...(keys ? [keys] : [])]];
    case "bare-file":
    case "bare-memory":
      return [process.execPath, [programs.bareProgram("serve"), socket, path, access, kind.slice("bare-".length)]];
    case "qemu-nbd": {
      const directory = keys?.slice(0, keys.lastIndexOf("/")) ?? "";
      const tls = ["--object", `tls-creds-psk,id=tls,dir=${directory},endpoint=server`, "--tls-creds", "tls"];
      const mode = writable ? [] : ["-r"];
      return ["qemu-nbd", ["-t", "-e", "8", "-f", format, ...mode, ...(keys ? tls : []), "-k", socket, path]];
    }
    case "nbdkit":
      return ["nbdkit", ["-f", "-U", socket, ...(writable ? [] : ["-r"]), "file", path]];
  }
}

/** Requests by fio, which tells how long they took without its start. */
function fio(
  images: Images,
  kind: "randread" | "randwrite" | "read" | "write",
  size: number,
  jobs: number,
  depth: number,
): Client {
  const enough = { 4: 30_000, 64: 8000, 1024: 600 }[size] ?? 1000;
  const perJob = Math.ceil((enough * Math.min(images.size, 256)) / 256 / jobs / (depth === 1 ? 4 : 1));
  return (uri) => {
    const shape = [`--bs=${String(size)}k`, `--iodepth=${String(depth)}`, `--numjobs=${String(jobs)}`];
    const { output } = patiently("fio", [
      ...["--name=requests", "--ioengine=nbd", `--uri=${uri}`, `--rw=${kind}`, ...shape, "--thread", "--size=100%"],
      ...["--group_reporting", `--number_ios=${String(perJob)}`, "--norandommap", "--randrepeat=1"],
      ...["--time_based=0", "--output-format=json"],
    ]);
    // it says first whom it talks to
    const { jobs: results } = JSON.parse(output.slice(output.indexOf("{"))) as {
      jobs: readonly { read: Direction; write: Direction }[];
    };
    const { iops = NaN, total_ios: count = NaN } = results[0]?.[kind.endsWith("read") ? "read" : "write"] ?? {};
    return { wall: count / iops };
  };
}

interface Direction {
  readonly iops: number;
  readonly total_ios: number;
}

function readAll(requestSize: number, count: number): Client {
  return (uri) => patiently("nbdcopy", [...shapeOf(requestSize, count), uri, "null:"]);
}

function writeAll(images: Images, requestSize: number, count: number): Client {
  return (uri) => patiently("nbdcopy", [...shapeOf(requestSize, count), images.raw("full"), uri]);
}

function shapeOf(requestSize: number, count: number): readonly string[] {
  return [`--request-size=${String(requestSize * 1024)}`, `--connections=${String(count)}`];
}

function patiently(command: string, args: readonly string[]): ReturnType<typeof runProgram> {
  for (let attempt = 1; ; attempt++) {
    try {
      return runProgram(command, args, { timeout: patience, capture: true });
    } catch (error) {
      if (attempt === attempts) {
        throw error;
      }
      process.stderr.write(`${command}: once more, after ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}
