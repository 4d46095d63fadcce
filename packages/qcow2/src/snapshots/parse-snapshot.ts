import { hex, ImgError, uint64 } from "@img/format-core";
import { decodeText } from "../header/extensions.ts";
import { checkHostOffset, limits } from "../header/layout.ts";
import type { Snapshot } from "./snapshot.ts";

/** Length of a table entry's fixed part. */
export const snapshotHeadLength = 40;

/** Lengths of the parts behind an entry's fixed part, bytes. */
export interface SnapshotLengths {
  readonly extra: number;
  readonly id: number;
  readonly name: number;
  /** Of the whole entry, padded to a multiple of 8. */
  readonly entry: number;
}

/**
 * How long the entry is whose fixed part begins `bytes`.
 * @throws ImgError `ERR_IMG_CORRUPT` when it has more extra data than is allowed.
 */
export function snapshotLengths(bytes: Uint8Array): SnapshotLengths {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const extra = view.getUint32(36);
  if (extra > limits.snapshotExtraLength) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `a snapshot has ${String(extra)} bytes of extra data: expected at most ${String(limits.snapshotExtraLength)}`,
    );
  }
  const id = view.getUint16(12);
  const name = view.getUint16(14);
  return { extra, id, name, entry: Math.ceil((snapshotHeadLength + extra + id + name) / 8) * 8 };
}

/**
 * Parses one entry of the snapshot table.
 * @param bytes - the whole entry, as long as {@link snapshotLengths} says
 * @throws ImgError `ERR_IMG_CORRUPT` for impossible values.
 */
export function parseSnapshot(
  bytes: Uint8Array,
  lengths: SnapshotLengths,
  version: 2 | 3,
  clusterSize: number,
): Snapshot {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const idStart = snapshotHeadLength + lengths.extra;
  const idBytes = bytes.subarray(idStart, idStart + lengths.id);
  const nameBytes = bytes.subarray(idStart + lengths.id, idStart + lengths.id + lengths.name);
  const id = decodeText(idBytes);
  const name = decodeText(nameBytes);
  const l1TableOffset = uint64(view.getUint32(0), view.getUint32(4), "snapshot's L1 table offset");
  checkHostOffset(l1TableOffset, "snapshot's L1 table");
  const l1Size = view.getUint32(8);
  if (l1TableOffset % clusterSize !== 0) {
    throw corrupt(name, `L1 table at host offset ${hex(l1TableOffset)}: not cluster-aligned`);
  }
  if (l1Size * 8 > limits.l1TableLength) {
    throw corrupt(name, `L1 table has ${String(l1Size)} entries: expected at most ${String(limits.l1TableLength / 8)}`);
  }
  if (l1Size > 0 && l1TableOffset === 0) {
    throw corrupt(name, "L1 table at host offset 0x0: that is the header");
  }
  if (version === 3 && lengths.extra < 16) {
    throw corrupt(name, `${String(lengths.extra)} bytes of extra data: expected at least 16`);
  }
  const extra = (at: number, what: string): number | undefined =>
    lengths.extra >= at + 8
      ? uint64(view.getUint32(snapshotHeadLength + at), view.getUint32(snapshotHeadLength + at + 4), what)
      : undefined;
  const known = lengths.extra >= 24 ? 24 : Math.min(lengths.extra, 16);
  const icount = lengths.extra >= 24 ? view.getBigUint64(snapshotHeadLength + 16) : undefined;
  return {
    id,
    name,
    l1TableOffset,
    l1Size,
    dateSeconds: view.getUint32(16),
    dateNanoseconds: view.getUint32(20),
    vmClock: view.getBigUint64(24),
    vmStateSize: extra(0, "snapshot's VM state size") ?? view.getUint32(32),
    diskSize: extra(8, "snapshot's disk size"),
    icount: icount === 0xffff_ffff_ffff_ffffn ? undefined : icount,
    entryLength: lengths.entry,
    ...(isTextOf(id, idBytes) ? {} : { idBytes: idBytes.slice() }),
    ...(isTextOf(name, nameBytes) ? {} : { nameBytes: nameBytes.slice() }),
    unknownExtra: bytes.slice(snapshotHeadLength + known, idStart),
  };
}

/** Whether bytes are a text as UTF-8: they may be something else, or go on behind a NUL. */
function isTextOf(text: string, bytes: Uint8Array): boolean {
  const encoded = new TextEncoder().encode(text);
  return encoded.length === bytes.length && encoded.every((byte, index) => byte === bytes[index]);
}

function corrupt(name: string, message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", `snapshot ${JSON.stringify(name)}: ${message}`, { subject: name });
}
