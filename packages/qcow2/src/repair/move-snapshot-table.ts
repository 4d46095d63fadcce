import { IoVector } from "@img/io-vector";
import { hex, readStorage, syncStorage, writeStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { headerLayout } from "../header/layout.ts";
import { snapshotHeadLength, snapshotLengths } from "../snapshots/parse-snapshot.ts";
import type { RepairSteps } from "./repair-steps.ts";

/** What version 3 asks for: the size of the VM state and of the disk, 8 bytes each. */
const requiredExtra = 16;

/** The snapshot table with everything in it that a version 3 image has to say. @param length - of the table as it stands, bytes */
export function* completeSnapshotTable(state: CheckState, length: number): Io<Uint8Array> {
  const { header, storage } = state;
  const table = new Uint8Array(length);
  yield* readStorage(storage, IoVector.single(table), header.snapshotsOffset);
  const entries: Uint8Array[] = [];
  for (let at = 0, index = 0; index < header.snapshotCount; index++) {
    const lengths = snapshotLengths(table.subarray(at));
    entries.push(completeEntry(table.subarray(at, at + lengths.entry), header.size));
    at += lengths.entry;
  }
  const complete = new Uint8Array(entries.reduce((sum, entry) => sum + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    complete.set(entry, at);
    at += entry.length;
  }
  return complete;
}

function completeEntry(entry: Uint8Array, diskSize: number): Uint8Array {
  const lengths = snapshotLengths(entry);
  if (lengths.extra >= requiredExtra) {
    return entry;
  }
  const names = entry.subarray(
    snapshotHeadLength + lengths.extra,
    snapshotHeadLength + lengths.extra + lengths.id + lengths.name,
  );
  const complete = new Uint8Array(Math.ceil((snapshotHeadLength + requiredExtra + names.length) / 8) * 8);
  complete.set(entry.subarray(0, snapshotHeadLength));
  const view = new DataView(complete.buffer);
  view.setUint32(36, requiredExtra);
  if (lengths.extra >= 8) {
    complete.set(entry.subarray(snapshotHeadLength, snapshotHeadLength + 8), snapshotHeadLength);
  } else {
    // the size of the VM state, which has a shorter field as well
    view.setUint32(snapshotHeadLength + 4, view.getUint32(32));
  }
  // a snapshot that doesn't say otherwise has the size of the disk
  view.setUint32(snapshotHeadLength + 8, Math.floor(diskSize / 0x1_0000_0000));
  view.setUint32(snapshotHeadLength + 12, diskSize % 0x1_0000_0000);
  complete.set(names, snapshotHeadLength + requiredExtra);
  return complete;
}

/** Writes a snapshot table, and once it is durable, has the header point at it. Its refcounts are on disk already. */
export function* moveSnapshotTable(
  state: CheckState,
  table: Uint8Array,
  newOffset: number,
  steps: RepairSteps,
): Io<void> {
  const { storage, header } = state;
  steps.add({
    kind: "move-snapshot-table",
    message: `write a complete snapshot table at host offset ${hex(newOffset)}`,
    hostOffset: header.snapshotsOffset,
    newOffset,
  });
  yield* writeStorage(storage, IoVector.from(table), newOffset);
  yield* syncStorage(storage);
  const fields = new DataView(new ArrayBuffer(12));
  fields.setUint32(0, header.snapshotCount);
  fields.setUint32(4, Math.floor(newOffset / 0x1_0000_0000));
  fields.setUint32(8, newOffset % 0x1_0000_0000);
  yield* writeStorage(storage, IoVector.from(new Uint8Array(fields.buffer)), headerLayout.snapshotCount);
  yield* syncStorage(storage);
}
