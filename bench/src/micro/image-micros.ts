import { closeStorage, MemoryStorage, runAsync } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { duplexPair, formatExport, NbdServer, NbdStorage } from "@img/nbd";
import { compareSync, convert, infoSync, mapSync } from "@img/operations";
import { checkQcow2, qcow2 } from "@img/qcow2";
import { createSync, openSync } from "@img/sync";
import { repeat, repeatAsync, type MicroGroup } from "./micro.ts";

const KiB = 1024;
const MiB = KiB * KiB;
const size = 16 * MiB;
const clusterSize = 64 * KiB;
/** Bytes from one request to the next: far, and a multiple of 4 KiB. */
const step = 1001 * 4 * KiB;

/** The format, the synchronous world, operations and the network, all on images in memory: nothing but our own code is measured. */
export async function imageMicros(): Promise<MicroGroup> {
  const storage = new MemoryStorage();
  const disk = await qcow2.create(storage, { size });
  await disk.write(text(size), 0);
  await disk.flush();
  const bytes = new Uint8Array(storage.size);
  storage.readSync(IoVector.single(bytes), 0);
  const sync = openSync(qcow2, new MemoryStorage(bytes), { writable: true });
  const packed = await qcow2.create(new MemoryStorage(), { size });
  await convert([disk], packed, { compressed: true });
  const remote = await served(bytes);
  const [left, right] = [openSync(qcow2, new MemoryStorage(bytes)), openSync(qcow2, new MemoryStorage(bytes))];
  const empty = await emptyImage();
  const block = new Uint8Array(4 * KiB).fill(1);
  const cluster = new Uint8Array(clusterSize);
  const one = { bytes: block.length };
  const far = (index: number): number => (index * step) % size;
  return {
    cases: [
      { package: "qcow2", name: "open", run: repeat(() => openSync(qcow2, new MemoryStorage(empty)).close()) },
      { package: "qcow2", name: "read, 4 KiB", ...one, run: repeatAsync((index) => disk.read(block, far(index))) },
      {
        package: "qcow2",
        name: "overwrite, 4 KiB",
        ...one,
        run: repeatAsync((index) => disk.write(block, far(index))),
      },
      {
        ...{ package: "qcow2", name: "read of zlib, 64 KiB", bytes: clusterSize },
        run: repeatAsync((index) => packed.read(cluster, (index * 37 * clusterSize) % size)),
      },
      { package: "qcow2", name: "allocating write, 4 KiB", ...one, run: allocate },
      { package: "qcow2", name: "check, 256 clusters", run: repeatAsync(() => checkQcow2(disk)) },
      { package: "sync", name: "read of qcow2, 4 KiB", ...one, run: repeat((index) => sync.read(block, far(index))) },
      {
        ...{ package: "sync", name: "overwrite of qcow2, 4 KiB", ...one },
        run: repeat((index) => sync.write(block, far(index))),
      },
      { package: "operations", name: "info", run: repeat(() => infoSync(sync)) },
      { package: "operations", name: "map, 256 clusters", run: repeat(() => [...mapSync(sync)]) },
      { package: "operations", name: "compare, 16 MiB", bytes: size, run: repeat(() => compareSync(left, right)) },
      { package: "nbd", name: "read, one at a time, 4 KiB", ...one, run: remote.reads },
    ],
    close: async () => {
      await remote.close();
      await packed.close();
      sync.close();
      left.close();
      right.close();
      await disk.close();
    },
  };
}

/** The bytes of an image of 1 TiB with nothing in it. */
async function emptyImage(): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, { size: 2 ** 40 });
  await image.flush();
  const bytes = new Uint8Array(storage.size);
  storage.readSync(IoVector.single(bytes), 0);
  await image.close();
  return bytes;
}

/** Each write makes a cluster; a new image whenever one is full. */
function allocate(count: number): void {
  const block = new Uint8Array(4 * KiB).fill(1);
  for (let done = 0; done < count;) {
    const image = createSync(qcow2, new MemoryStorage(), { size: 1024 * clusterSize });
    for (let index = 0; index < 1024 && done < count; index++, done++) {
      image.write(block, index * clusterSize);
    }
    image.close();
  }
}

/** A client and a server of the network block device protocol in one process, without a socket in between. */
async function served(
  bytes: Uint8Array,
): Promise<{ readonly reads: (count: number) => Promise<void>; readonly close: () => Promise<void> }> {
  const image = await qcow2.open(new MemoryStorage(bytes));
  const server = new NbdServer(new Map([["", formatExport(image)]]));
  const client = await NbdStorage.open(() => {
    const [near, distant] = duplexPair();
    void server.serve(distant);
    return near;
  });
  const vector = IoVector.single(new Uint8Array(4 * KiB));
  return {
    reads: repeatAsync(async (index) => client.read(vector, (index * step) % size)),
    close: async () => {
      await runAsync(closeStorage(client));
      await server.close();
      await image.close();
    },
  };
}

/** Bytes that compress as text does. */
function text(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => 97 + (((index * index) >>> 7) % 26));
}
