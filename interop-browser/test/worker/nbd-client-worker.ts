import { isImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { listExports, messagePortStream, NbdStorage, type DuplexStream } from "@img/nbd";
import { Sha256 } from "../../src/shared/sha256.ts";
import type { NbdClientReport } from "./nbd-messages.ts";

/** Uses the disks of a server that is on the other side of `server`, which takes a port for each connection. */
async function use(server: MessagePort): Promise<NbdClientReport> {
  const connect = (): DuplexStream => {
    const { port1, port2 } = new MessageChannel();
    server.postMessage(port2, [port2]);
    return messagePortStream(port1, "server");
  };
  const exports = (await listExports(connect)).map(({ name, description }) => `${name}: ${description}`);
  await using file = await NbdStorage.open(connect, { exportName: "file" });
  const writing = await NbdStorage.open(connect, { exportName: "file", writable: true }).then(
    () => "done",
    (error: unknown) => (isImgError(error) ? error.code : String(error)),
  );
  return {
    exports,
    size: file.size,
    sha256: await hash(file),
    dataBytes: await dataBytes(file),
    writing,
    written: await writeAndRead(connect),
  };
}

/** Reads all of it, four parts at once. */
async function hash(storage: NbdStorage): Promise<string> {
  const hash = new Sha256();
  const length = 256 * 1024;
  for (let at = 0; at < storage.size; at += 4 * length) {
    const parts = Array.from({ length: 4 }, (_, index) => at + index * length)
      .filter((offset) => offset < storage.size)
      .map((offset) => ({ offset, bytes: new Uint8Array(Math.min(length, storage.size - offset)) }));
    await Promise.all(parts.map(({ offset, bytes }) => storage.read(IoVector.single(bytes), offset)));
    for (const { bytes } of parts) hash.update(bytes);
  }
  return hash.digest();
}

async function dataBytes(storage: NbdStorage): Promise<number> {
  let bytes = 0;
  for (let at = 0; at < storage.size;) {
    const extents = (await storage.extents?.(at, storage.size - at)) ?? [];
    if (extents.length === 0) throw new Error(`nothing is known about ${String(at)}`);
    for (const { kind, length } of extents) {
      bytes += kind === "data" ? length : 0;
      at += length;
    }
  }
  return bytes;
}

async function writeAndRead(connect: () => DuplexStream): Promise<string> {
  await using memory = await NbdStorage.open(connect, { exportName: "memory", writable: true, connections: 2 });
  await memory.write(IoVector.single(Uint8Array.of(1, 2, 3, 4, 5, 6)), 70_000);
  await memory.writeZeroes?.(70_002, 2);
  await memory.sync();
  const read = new Uint8Array(8);
  await memory.read(IoVector.single(read), 69_999);
  return [...read].join(" ");
}

self.onmessage = ({ data }: MessageEvent<MessagePort>): void => {
  use(data).then(
    (report) => {
      self.postMessage(report);
    },
    (error: unknown) => {
      self.postMessage({ failed: String(error) });
    },
  );
};
