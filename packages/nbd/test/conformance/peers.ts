import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SocketStream } from "../../src/node/socket-stream.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import type { DuplexStream } from "../../src/stream/duplex-stream.ts";

/** Size of the disk that is probed: longer than any payload. */
export const diskSize: number = 64 * 1024 * 1024;
/** Bytes at its start that are 0x5a; the rest is a hole. */
export const dataLength: number = 1024 * 1024;

/** A server under test: an export `disk` of {@link diskSize} bytes, once writable and once not. */
export interface Peer {
  readonly name: "ours" | "qemu-nbd" | "nbdkit";
  connect(kind: "writable" | "readOnly"): Promise<DuplexStream>;
  /** Forgets all connections that were made. */
  dropConnections(): void;
  close(): Promise<void>;
}

/** Our server, in this process. */
export function ourPeer(): Peer {
  const storage = new MemoryStorage();
  storage.resize?.(diskSize);
  storage.write(IoVector.single(new Uint8Array(dataLength).fill(0x5a)), 0);
  const servers = {
    writable: new NbdServer(new Map([["disk", storageExport(storage)]])),
    readOnly: new NbdServer(new Map([["disk", storageExport(storage, { writable: false })]])),
  };
  const streams = new Set<DuplexStream>();
  return {
    name: "ours",
    connect: async (kind) => {
      const [near, far] = duplexPair();
      streams.add(near);
      void servers[kind].serve(far);
      return near;
    },
    dropConnections: () => {
      dropAll(streams);
    },
    close: async () => {
      await Promise.all([servers.writable.close({ grace: 100 }), servers.readOnly.close({ grace: 100 })]);
    },
  };
}

/** A server that others have made, as a control of the probe. */
export async function foreignPeer(name: "qemu-nbd" | "nbdkit"): Promise<Peer> {
  const directory = await mkdtemp(join(tmpdir(), "img-nbd-peer-"));
  const file = join(directory, "disk.raw");
  await writeFile(file, Buffer.alloc(dataLength, 0x5a));
  await truncate(file, diskSize);
  const processes: ChildProcess[] = [];
  const start = async (kind: "writable" | "readOnly"): Promise<string> => {
    const path = join(directory, kind);
    const readOnly = kind === "readOnly" ? ["-r"] : [];
    const child =
      name === "qemu-nbd"
        ? spawn("qemu-nbd", ["-t", "-k", path, "-f", "raw", "-x", "disk", "-e", "0", ...readOnly, file])
        : spawn("nbdkit", ["-f", "-U", path, ...readOnly, "file", file]);
    processes.push(child);
    while (!existsSync(path)) {
      if (child.exitCode !== null) {
        throw new Error(`${name} has ended with ${child.exitCode}`);
      }
      await sleep(10);
    }
    return path;
  };
  const streams = new Set<DuplexStream>();
  const paths = { writable: await start("writable"), readOnly: await start("readOnly") };
  return {
    name,
    connect: async (kind) => {
      const socket = connect({ path: paths[kind], allowHalfOpen: true });
      await once(socket, "connect");
      const stream = new SocketStream(socket);
      streams.add(stream);
      return stream;
    },
    dropConnections: () => {
      dropAll(streams);
    },
    close: async () => {
      for (const child of processes) {
        child.kill("SIGKILL");
      }
      await rm(directory, { recursive: true });
    },
  };
}

function dropAll(streams: Set<DuplexStream>): void {
  for (const stream of streams) {
    stream.destroy();
  }
  streams.clear();
}
