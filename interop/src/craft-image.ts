import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";

/** The fields of a header that isn't made by any tool. Offsets and sizes are in bytes where nothing else is said. */
export interface CraftedHeader {
  /** Default 3. */
  readonly version?: number;
  /** Default 16. */
  readonly clusterBits?: number;
  /** Size of the disk. Default 1 MiB. */
  readonly size?: bigint;
  readonly cryptMethod?: number;
  /** Entries. Default 1. */
  readonly l1Size?: number;
  /** Default: the cluster after the header. */
  readonly l1Offset?: bigint;
  /** Default: the second cluster after the header. */
  readonly refcountTableOffset?: bigint;
  /** Default 1. */
  readonly refcountTableClusters?: number;
  readonly snapshotCount?: number;
  readonly snapshotsOffset?: bigint;
  readonly incompatible?: bigint;
  readonly compatible?: bigint;
  readonly autoclear?: bigint;
  /** Default 4. */
  readonly refcountOrder?: number;
  readonly compressionType?: number;
  readonly extensions?: readonly (readonly [type: number, data: Uint8Array])[];
  /** Name of the backing image; bytes where it isn't text. */
  readonly backing?: string | Uint8Array;
}

const headerLength = 112;

/** The header, its extensions and the backing image's name, as they stand at the start of an image. */
export function craftHeader(header: CraftedHeader = {}): Uint8Array {
  const { clusterBits = 16, extensions = [] } = header;
  const cluster = 2 ** Math.min(clusterBits, 21);
  const bytes = new Uint8Array(Math.max(4096, cluster > 65536 ? 65536 : cluster));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, header.version ?? 3);
  view.setUint32(20, clusterBits);
  view.setBigUint64(24, header.size ?? 1n << 20n);
  view.setUint32(32, header.cryptMethod ?? 0);
  view.setUint32(36, header.l1Size ?? 1);
  view.setBigUint64(40, header.l1Offset ?? BigInt(cluster));
  view.setBigUint64(48, header.refcountTableOffset ?? BigInt(2 * cluster));
  view.setUint32(56, header.refcountTableClusters ?? 1);
  view.setUint32(60, header.snapshotCount ?? 0);
  view.setBigUint64(64, header.snapshotsOffset ?? 0n);
  view.setBigUint64(72, header.incompatible ?? 0n);
  view.setBigUint64(80, header.compatible ?? 0n);
  view.setBigUint64(88, header.autoclear ?? 0n);
  view.setUint32(96, header.refcountOrder ?? 4);
  view.setUint32(100, headerLength);
  view.setUint8(104, header.compressionType ?? 0);
  let at = headerLength;
  for (const [type, data] of extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + Math.ceil(data.length / 8) * 8;
  }
  at += 8;
  if (header.backing !== undefined) {
    const name = typeof header.backing === "string" ? new TextEncoder().encode(header.backing) : header.backing;
    bytes.set(name, at);
    view.setBigUint64(8, BigInt(at));
    view.setUint32(16, name.length);
  }
  return bytes;
}

/** Types of header extensions. */
export const extensionType = { backingFormat: 0xe2792aca, dataFile: 0x44415441, bitmaps: 0x23852875 } as const;

/** A text as the data of an extension. */
export function textData(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Big-endian 64-bit entries, as in tables. */
export function entries(...values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    view.setBigUint64(8 * index, value);
  });
  return bytes;
}

/**
 * A storage that holds `parts` at their offsets and nothing elsewhere; memory is only taken for the parts.
 * @param size - length in bytes. Default: up to the end of the last part
 */
export function sparseStorage(
  parts: readonly (readonly [offset: number, bytes: Uint8Array])[],
  size?: number,
): MemoryStorage {
  const storage = new MemoryStorage();
  for (const [offset, bytes] of parts) {
    storage.writeSync(IoVector.single(bytes), offset);
  }
  if (size !== undefined) {
    storage.resizeSync?.(size);
  }
  return storage;
}
