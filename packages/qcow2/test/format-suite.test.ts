import type { FormatAccess, Io, OpenGate, Storage } from "@img/format-core";
import { formatSuite, type FormatFactory, type FormatManifest } from "@img/testing";
import { describe, it } from "vitest";
import { codecs } from "../src/codecs/portable.ts";
import { extensionTypes, qcow2 } from "../src/index.ts";
import { text } from "./support/extension-bytes.ts";
import { ImageBuilder, type ImageKind } from "./support/image-builder.ts";

type Kind = Omit<ImageKind, "size">;

/** An image of the kind whose disk reads as `disk`, with as many ways to say so as there are. */
function build(kind: Kind, disk: Uint8Array, compress: boolean): ImageBuilder {
  const built = new ImageBuilder({ ...kind, size: disk.length });
  const { clusterSize } = built;
  const codec = codecs[kind.zstd === true ? "zstd" : "zlib"];
  for (let guest = 0; guest < disk.length; guest += clusterSize) {
    const cluster = new Uint8Array(clusterSize);
    cluster.set(disk.subarray(guest, guest + clusterSize));
    const turn = guest / clusterSize;
    const packed = compress && turn % 2 === 0 ? codec.compress!(cluster) : undefined;
    if (packed !== undefined) {
      built.compressed(guest, packed);
    } else if (cluster.some((byte) => byte !== 0)) {
      putData(built, guest, cluster, kind.extendedL2 === true);
    } else if (turn % 3 !== 0 && kind.version !== 2) {
      built.zero(guest, turn % 3 === 1);
    }
  }
  return built;
}

/** Data, of which subclusters that are zero aren't allocated. */
function putData(built: ImageBuilder, guest: number, cluster: Uint8Array, extended: boolean): void {
  if (!extended) {
    built.data(guest, cluster);
    return;
  }
  const size = built.clusterSize / 32;
  let zeroes = 0;
  let allocated = 0;
  const bytes = new Uint8Array(built.clusterSize).fill(0xee);
  for (let index = 0; index < 32; index++) {
    const part = cluster.subarray(index * size, (index + 1) * size);
    if (part.some((byte) => byte !== 0)) {
      allocated |= 1 << index;
      bytes.set(part, index * size);
    } else if (index % 2 === 0) {
      zeroes |= 1 << index;
    }
  }
  built.subclusters(guest, zeroes >>> 0, allocated >>> 0, bytes);
}

const readOnly: FormatManifest = { writable: false, creates: false, mutations: 50 };

function runSuite(title: string, factory: FormatFactory, manifest: FormatManifest): void {
  describe(title, () => {
    for (const { name, run } of formatSuite(factory, { ...readOnly, ...manifest })) {
      it(name, run);
    }
  });
}

const kinds: readonly (readonly [title: string, kind: Kind, manifest: FormatManifest])[] = [
  ["64 KiB clusters", { clusterBits: 16 }, {}],
  ["512-byte clusters", { clusterBits: 9 }, { blockSize: 512, diskSize: 3 * 64 * 512 + 4096 }],
  ["version 2", { clusterBits: 12, version: 2 }, { blockSize: 4096 }],
  ["extended L2 entries", { extendedL2: true }, { blockSize: 16384 }],
];

for (const [title, kind, manifest] of kinds) {
  runSuite(
    `qcow2, made by hand, with ${title}`,
    { format: qcow2, image: (disk) => build(kind, disk, false).build() },
    manifest,
  );
}

runSuite(
  "qcow2, made by hand, with compressed clusters",
  { format: qcow2, image: (disk) => build({ clusterBits: 12 }, disk, true).build() },
  { blockSize: 4096 },
);

runSuite(
  "qcow2, made by hand, with clusters compressed by zstd",
  { format: qcow2, image: (disk) => build({ clusterBits: 12, zstd: true }, disk, true).build() },
  { blockSize: 4096 },
);

runSuite(
  "qcow2, made by hand, with an external data file",
  {
    format: qcow2,
    image: (disk) => {
      const built = build({ clusterBits: 12, externalDataFile: true }, disk, false);
      return [built.build(), built.dataFile];
    },
    open: ([storage, dataFile]) => qcow2.openIo(storage!, { dataFile: dataFile! }),
  },
  { blockSize: 4096, storages: 2 },
);

runSuite(
  "qcow2, made by hand, with a snapshot that is shown",
  {
    format: qcow2,
    image: (disk) => {
      const built = build({ clusterBits: 12 }, disk, false);
      built.snapshot({ id: "1", name: "shown" });
      for (let guest = 0; guest < disk.length; guest += 4096) {
        built.data(guest, new Uint8Array(4096).fill(0xbb));
      }
      return built.build();
    },
    open: ([storage]) => qcow2.openIo(storage!, { snapshot: "shown" }),
  },
  { blockSize: 4096 },
);

/** A gate that knows one storage only. */
function gateTo(storage: Storage): OpenGate {
  return {
    *openStorage() {
      return storage;
    },
    *openImage(reference): Io<FormatAccess> {
      return yield* qcow2.openIo(storage, { chain: reference.chain });
    },
  };
}

runSuite(
  "qcow2, made by hand, over a backing image that is shorter",
  {
    format: qcow2,
    image: (disk) => {
      // every other cluster comes from below, as far as that goes
      const cut = Math.floor(disk.length / 2 / 4096) * 4096;
      const below = build({ clusterBits: 10 }, disk.slice(0, cut), true);
      const above = new ImageBuilder({ clusterBits: 12, size: disk.length });
      for (let guest = 0; guest < disk.length; guest += 4096) {
        const cluster = disk.slice(guest, guest + 4096);
        if (guest >= cut ? cluster.some((byte) => byte !== 0) : (guest / 4096) % 2 === 0) {
          above.data(guest, cluster);
        }
      }
      above.backingName = "below";
      above.extensions = [{ type: extensionTypes.backingFormat, data: text("qcow2") }];
      return [above.build(), below.build()];
    },
    open: ([storage, below]) => qcow2.openIo(storage!, { gate: gateTo(below!) }),
  },
  { blockSize: 4096, storages: 2 },
);
