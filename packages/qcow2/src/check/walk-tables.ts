import { IoVector } from "@img/io-vector";
import { checkpoint, readStorage, type Io } from "@img/format-core";
import type { CheckState } from "./check-state.ts";
import type { L1Place } from "./l1-walk.ts";
import { l2Coverage } from "../header/parse-header.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;

/** L1 tables are read in parts of at most this many bytes. */
const readLength = 1024 * 1024;

/** A table, or a part of one, as it was read. */
export interface VisitedTable {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** Where it lies in the image. */
  readonly hostOffset: number;
  /** Of its first entry. */
  readonly guestOffset: number;
  /** Of its entries. */
  readonly table: "l1" | "l2";
  readonly tree: L1Place;
}

/** What is done with each table. It may change the table in the image; the entries that are followed are those that `bytes` holds then. */
export type TableVisitor = (table: VisitedTable) => Io<void>;

/**
 * Visits L1 tables and the L2 tables below them: those that really are tables, because they are aligned and begin inside of the file.
 * @param visitOnce - pass over L2 tables that were visited before, below another entry or another L1 table
 */
export function* walkTables(
  state: CheckState,
  trees: readonly L1Place[],
  visit: TableVisitor,
  visitOnce: boolean,
): Io<void> {
  const visited = new Set<number>();
  const coverage = l2Coverage(state.header);
  for (const tree of trees) {
    const present = Math.min(tree.size * 8, Math.max(Math.floor((state.fileSize - tree.offset) / 8) * 8, 0));
    for (let done = 0; done < present; done += readLength) {
      const hostOffset = tree.offset + done;
      const guestOffset = (done / 8) * coverage;
      const length = Math.min(readLength, present - done);
      const l1 = yield* load(state, hostOffset, length);
      yield* visit({ ...l1, hostOffset, guestOffset, table: "l1", tree });
      for (let at = 0; at < length; at += 8) {
        const high = l1.view.getUint32(at) & offsetHigh;
        const offset = high * 0x1_0000_0000 + ((l1.view.getUint32(at + 4) & offsetLow) >>> 0);
        if (offset === 0 || offset % state.clusterSize !== 0 || offset >= state.fileSize) {
          continue;
        }
        if (visitOnce && visited.has(offset)) {
          continue;
        }
        visited.add(offset);
        yield* checkpoint();
        const l2 = yield* load(state, offset, state.clusterSize);
        const start = guestOffset + (at / 8) * coverage;
        yield* visit({ ...l2, hostOffset: offset, guestOffset: start, table: "l2", tree });
      }
    }
  }
}

function* load(
  state: CheckState,
  offset: number,
  length: number,
): Io<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly view: DataView }> {
  const bytes = new Uint8Array(length);
  yield* readStorage(state.storage, IoVector.single(bytes), offset);
  return { bytes, view: new DataView(bytes.buffer) };
}
