import { IoVector } from "@img/io-vector";
import { hex, isImgError, readStorage, type Io } from "@img/format-core";
import { decodeText } from "../header/extensions.ts";
import { greatestHostOffset, limits } from "../header/layout.ts";
import { snapshotHeadLength, snapshotLengths, type SnapshotLengths } from "../snapshots/parse-snapshot.ts";
import type { CheckState } from "./check-state.ts";
import type { Finding } from "./finding.ts";

/** Length of the extra data that version 3 asks for: 64-bit VM state size and disk size. */
const requiredExtraLength = 16;

/** Where a snapshot's L1 table is said to be. */
export interface SnapshotL1 {
  readonly id: string;
  readonly name: string;
  /** Bytes; not a safe integer if the table says so. */
  readonly offset: number;
  /** Entries. */
  readonly size: number;
}

/** The snapshot table, as far as a check needs it. */
export interface SnapshotTable {
  readonly snapshots: readonly SnapshotL1[];
  /** Bytes. */
  readonly length: number;
}

/**
 * Reads the snapshot table and takes down what is wrong with it.
 * @returns `undefined` when it can't be read, so that nothing can be said about what belongs to snapshots
 */
export function* loadSnapshotTable(state: CheckState): Io<SnapshotTable | undefined> {
  const { header, findings } = state;
  const fail = (message: string): void => {
    findings.add("error", () => ({
      kind: "snapshot-table",
      message,
      repair: "none",
      hostOffset: header.snapshotsOffset,
    }));
  };
  if (header.snapshotCount > limits.snapshotCount) {
    fail(`${String(header.snapshotCount)} snapshots: expected at most ${String(limits.snapshotCount)}`);
    return undefined;
  }
  const snapshots: SnapshotL1[] = [];
  let length = 0;
  for (let index = 0; index < header.snapshotCount; index++) {
    const head = yield* readEntry(state, length, snapshotHeadLength);
    let lengths;
    try {
      lengths = snapshotLengths(head);
    } catch (error) {
      if (isImgError(error, "ERR_IMG_CORRUPT")) {
        fail(`snapshot table entry ${String(index)}: ${error.message}`);
        return undefined;
      }
      throw error;
    }
    // what pads the last entry may be missing; an entry that is missing would read as one of a snapshot without clusters
    const end = header.snapshotsOffset + length + unpaddedLength(lengths);
    if (end > state.fileSize) {
      fail(
        `snapshot table entry ${String(index)} ends at host offset ${hex(end)}: the file ends at ${hex(state.fileSize)}`,
      );
      return undefined;
    }
    const entry = yield* readEntry(state, length, lengths.entry);
    if (header.version === 3 && lengths.extra < requiredExtraLength) {
      reportIncomplete(state, index, length, lengths.extra);
    }
    const text = entry.subarray(snapshotHeadLength + lengths.extra);
    const view = new DataView(entry.buffer);
    snapshots.push({
      id: decodeText(text.subarray(0, lengths.id)),
      name: decodeText(text.subarray(lengths.id, lengths.id + lengths.name)),
      offset: view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4),
      size: view.getUint32(8),
    });
    length += lengths.entry;
    if (length > limits.snapshotTableLength) {
      fail(`the snapshot table is longer than ${String(limits.snapshotTableLength)} bytes`);
      return undefined;
    }
  }
  return { snapshots, length };
}

/** Whether a snapshot's L1 table can be walked; takes it down if not. */
export function checkSnapshotL1(state: CheckState, snapshot: SnapshotL1): boolean {
  const { offset, size } = snapshot;
  const wrong =
    offset % state.clusterSize !== 0
      ? `L1 table at host offset ${hex(offset)}: not cluster-aligned`
      : offset > greatestHostOffset
        ? `L1 table at host offset ${hex(offset)}: expected at most ${hex(greatestHostOffset)}`
        : size * 8 > limits.l1TableLength
          ? `L1 table has ${String(size)} entries: expected at most ${String(limits.l1TableLength / 8)}`
          : undefined;
  if (wrong === undefined) {
    return true;
  }
  state.complete = false;
  state.findings.add("corruption", (): Omit<Finding, "severity"> => ({
    kind: "snapshot",
    message: `snapshot ${snapshot.id} (${JSON.stringify(snapshot.name)}): ${wrong}`,
    repair: "none",
    hostOffset: offset,
    snapshot: snapshot.id,
  }));
  return false;
}

function unpaddedLength({ extra, id, name }: SnapshotLengths): number {
  return snapshotHeadLength + extra + id + name;
}

function* readEntry(state: CheckState, at: number, length: number): Io<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  yield* readStorage(state.storage, IoVector.single(bytes), state.header.snapshotsOffset + at);
  return bytes;
}

function reportIncomplete(state: CheckState, index: number, at: number, extra: number): void {
  state.findings.add("corruption", () => ({
    kind: "snapshot",
    message: `snapshot table entry ${String(index)} has ${String(extra)} bytes of extra data: expected at least ${String(requiredExtraLength)}`,
    repair: "complete-entry",
    entryOffset: state.header.snapshotsOffset + at,
  }));
}
