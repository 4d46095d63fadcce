import { copyFileSync, writeFileSync } from "node:fs";
import { NbdServerProcess } from "../nbd-server.ts";
import type { Images } from "../images.ts";
import type { Case, Sample } from "../measurement.ts";
import { runProgram } from "../run-program.ts";

/** Who serves. */
type Server = "ours" | "qemu-nbd" | "nbdkit";

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

/** nbdcopy sometimes waits for ever for a reply that lies unread in its socket. */
const patience = 60_000;
const attempts = 3;

/**
 * Servers of the network block device protocol, used by the same clients over Unix sockets. The clock is the client's, the processor time the
 * server's. Each server is started anew for each run, and has served as much once before.
 */
export function nbdCases(images: Images, program: string): Case[] {
  const disk = (format: Disk["format"], path: string, writable = false): Disk => ({ format, path, writable });
  const full = (): Disk => disk("raw", images.raw("full.raw"));
  const against =
    (theirs: Exclude<Server, "ours">) =>
    (name: string, target: number | undefined, make: () => Disk, client: Client): Case => {
      const run = (server: Server): Promise<Sample> => measureServer({ images, program }, server, make(), client);
      return {
        name: `NBD ${name}${theirs === "nbdkit" ? " (against nbdkit)" : ""}`,
        ...(target === undefined ? {} : { target }),
        ours: () => run("ours"),
        theirs: () => run(theirs),
      };
    };
  const qemu = against("qemu-nbd");
  const nbdkit = against("nbdkit");
  const target = (): Disk => disk("raw", copyOf(images, images.raw("full.raw")), true);
  const sizes = [64, 256, 1024] as const;
  return [
    qemu("4 KiB reads, depth 32", 1 / 2.5, full, randomReads(1, 32)),
    qemu("4 KiB reads, 4 connections, depth 16", 1 / 2.5, full, randomReads(4, 16)),
    nbdkit("4 KiB reads, depth 32", undefined, full, randomReads(1, 32)),
    ...sizes.flatMap((size) =>
      [1, 4].map((count) => qemu(`reads of ${kib(size)}, ${connections(count)}`, 1, full, readAll(size, count))),
    ),
    nbdkit("reads of 256 KiB, 4 connections", undefined, full, readAll(256, 4)),
    ...sizes.flatMap((size) =>
      [1, 4].map((count) =>
        qemu(`writes of ${kib(size)}, ${connections(count)}`, 1 / 1.2, target, writeAll(images, size, count)),
      ),
    ),
    nbdkit("writes of 256 KiB, 4 connections", undefined, target, writeAll(images, 256, 4)),
    qemu("reads of qcow2, 256 KiB, 4 connections", 1, () => disk("qcow2", images.qcow2("full")), readAll(256, 4)),
    qemu("reads of compressed qcow2, 4 connections", 1, () => disk("qcow2", images.qcow2("zlib")), readAll(256, 4)),
    qemu("writes to an empty qcow2, 4 connections", undefined, () => emptyImage(images), writeAll(images, 256, 4)),
    qemu("reads over TLS, 256 KiB", 1 / 1.2, () => ({ ...full(), keys: keysOf(images) }), readAll(256, 1)),
    qemu("writes over TLS, 256 KiB", 1 / 1.2, () => ({ ...target(), keys: keysOf(images) }), writeAll(images, 256, 1)),
  ];
}

const kib = (size: number): string => (size < 1024 ? `${String(size)} KiB` : `${String(size / 1024)} MiB`);
const connections = (count: number): string => (count === 1 ? "1 connection" : `${String(count)} connections`);

async function measureServer(
  { images, program }: { readonly images: Images; readonly program: string },
  kind: Server,
  disk: Disk,
  client: Client,
): Promise<Sample> {
  const socket = images.path(`${kind}.sock`);
  using server = await NbdServerProcess.start(...commandOf(kind, disk, socket, program), socket);
  const uri =
    disk.keys === undefined
      ? `nbd+unix:///?socket=${socket}`
      : `nbds+unix://bench@/?socket=${socket}&tls-psk-file=${disk.keys}`;
  client(uri);
  const before = server.cpu();
  const { wall } = client(uri);
  const after = server.cpu();
  return { wall, ...(before === undefined || after === undefined ? {} : { cpu: after - before }) };
}

function commandOf(
  kind: Server,
  { format, path, writable, keys }: Disk,
  socket: string,
  program: string,
): [command: string, args: readonly string[]] {
  switch (kind) {
    case "ours":
      return [process.execPath, [program, socket, format, path, writable ? "rw" : "ro", ...(keys ? [keys] : [])]];
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

/** Random reads by fio, which tells how long they took without its start. */
function randomReads(jobs: number, depth: number): Client {
  const count = 30_000;
  return (uri) => {
    const shape = ["--bs=4k", `--iodepth=${String(depth)}`, `--numjobs=${String(jobs)}`, "--thread", "--size=100%"];
    const { output } = patiently("fio", [
      ...["--name=reads", "--ioengine=nbd", `--uri=${uri}`, "--rw=randread", ...shape, "--group_reporting"],
      ...[`--number_ios=${String(count / jobs)}`, "--norandommap", "--randrepeat=1", "--output-format=json"],
    ]);
    // it says first whom it talks to
    const { jobs: results } = JSON.parse(output.slice(output.indexOf("{"))) as {
      jobs: readonly { read: { iops: number } }[];
    };
    return { wall: count / (results[0]?.read.iops ?? NaN) };
  };
}

function readAll(requestSize: number, count: number): Client {
  return (uri) => patiently("nbdcopy", [...shapeOf(requestSize, count), uri, "null:"]);
}

function writeAll(images: Images, requestSize: number, count: number): Client {
  return (uri) => patiently("nbdcopy", [...shapeOf(requestSize, count), images.raw("full.raw"), uri]);
}

function shapeOf(requestSize: number, count: number): readonly string[] {
  return [`--request-size=${String(requestSize * 1024)}`, `--connections=${String(count)}`];
}

function patiently(command: string, args: readonly string[]): ReturnType<typeof runProgram> {
  for (let attempt = 1; ; attempt++) {
    try {
      return runProgram(command, args, patience);
    } catch (error) {
      if (attempt === attempts) {
        throw error;
      }
      process.stderr.write(`${command}: once more, after ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

function copyOf(images: Images, from: string): string {
  const path = images.path("written.raw");
  copyFileSync(from, path);
  return path;
}

function emptyImage(images: Images): Disk {
  const path = images.path("written.qcow2");
  runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, `${String(images.size)}M`]);
  return { format: "qcow2", path, writable: true };
}

/** The name is what QEMU looks for. */
function keysOf(images: Images): string {
  const path = images.path("keys.psk");
  writeFileSync(path, `bench:${"5a".repeat(32)}\n`);
  return path;
}
