import { ImgError } from "@img/format-core";
import { limits } from "../header/layout.ts";
import { snapshotHeadLength } from "./parse-snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

/** What is needed of a snapshot to write its entry. */
export type SnapshotEntry = Omit<Snapshot, "entryLength">;

/** Extra data that is known: size of the VM state, size of the disk, instruction count. */
const knownExtraLength = 24;

/** Stands for an instruction count that isn't recorded. */
const noCount = 0xffff_ffff_ffff_ffffn;

/**
 * The snapshot table.
 * @param diskSize - recorded for snapshots that don't record the size of their disk, bytes: they have the image's
 * @throws ImgError `ERR_IMG_LIMIT` when there are more snapshots, or longer ones, than the format or QEMU allow
 */
export function serializeSnapshots(snapshots: readonly SnapshotEntry[], diskSize: number): Uint8Array {
  if (snapshots.length > limits.snapshotCount) {
    throw tooMuch("snapshots", snapshots.length, limits.snapshotCount);
  }
  const entries = snapshots.map((snapshot) => serializeSnapshot(snapshot, diskSize));
  const length = entries.reduce((sum, entry) => sum + entry.length, 0);
  if (length > limits.snapshotTableLength) {
    throw tooMuch("bytes of snapshot table", length, limits.snapshotTableLength);
  }
  const table = new Uint8Array(length);
  let at = 0;
  for (const entry of entries) {
    table.set(entry, at);
    at += entry.length;
  }
  return table;
}

function serializeSnapshot(snapshot: SnapshotEntry, diskSize: number): Uint8Array {
  const id = snapshot.idBytes ?? encodeText("id", snapshot.id);
  const name = snapshot.nameBytes ?? encodeText("name", snapshot.name);
  const extraLength = knownExtraLength + snapshot.unknownExtra.length;
  if (extraLength > limits.snapshotExtraLength) {
    throw tooMuch("bytes of extra data", extraLength, limits.snapshotExtraLength);
  }
  const bytes = new Uint8Array(Math.ceil((snapshotHeadLength + extraLength + id.length + name.length) / 8) * 8);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(snapshot.l1TableOffset));
  view.setUint32(8, snapshot.l1Size);
  view.setUint16(12, id.length);
  view.setUint16(14, name.length);
  view.setUint32(16, snapshot.dateSeconds);
  view.setUint32(20, snapshot.dateNanoseconds);
  view.setBigUint64(24, snapshot.vmClock);
  view.setUint32(32, snapshot.vmStateSize > 0xffff_ffff ? 0 : snapshot.vmStateSize);
  view.setUint32(36, extraLength);
  view.setBigUint64(snapshotHeadLength, BigInt(snapshot.vmStateSize));
  view.setBigUint64(snapshotHeadLength + 8, BigInt(snapshot.diskSize ?? diskSize));
  view.setBigUint64(snapshotHeadLength + 16, snapshot.icount ?? noCount);
  bytes.set(snapshot.unknownExtra, snapshotHeadLength + knownExtraLength);
  bytes.set(id, snapshotHeadLength + extraLength);
  bytes.set(name, snapshotHeadLength + extraLength + id.length);
  return bytes;
}

function encodeText(what: string, text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 0xffff) {
    throw tooMuch(`bytes of snapshot ${what}`, bytes.length, 0xffff);
  }
  return bytes;
}

function tooMuch(what: string, found: number, most: number): ImgError {
  return new ImgError("ERR_IMG_LIMIT", `${String(found)} ${what}: expected at most ${String(most)}`);
}
