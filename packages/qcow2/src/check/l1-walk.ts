import { IoVector } from "@img/io-vector";
import { checkpoint, hex, readStorage, type Io } from "@img/format-core";
import { l2Coverage } from "../header/parse-header.ts";
import { copiedFlag, entryText } from "../tables/l2-entry.ts";
import type { CheckState } from "./check-state.ts";
import type { Finding } from "./finding.ts";
import { L2Scan } from "./l2-scan.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;
const reservedHigh = 0x7f00_0000;
const reservedLow = 0x0000_01ff;

/** Tables are read in parts of at most this many bytes. */
const readLength = 2 * 1024 * 1024;

/** Which L1 table is walked. */
export interface L1Place {
  /** Host offset, bytes. */
  readonly offset: number;
  /** Entries. */
  readonly size: number;
  /** Id of the snapshot that it belongs to; `undefined`: it is the active one. */
  readonly snapshot: string | undefined;
}

/** Walks L1 tables and the L2 tables below them. */
export class L1Walk {
  readonly #state: CheckState;
  readonly #coverage: number;

  constructor(state: CheckState) {
    this.#state = state;
    this.#coverage = l2Coverage(state.header);
  }

  /** Counts everything that an L1 table refers to, and the table itself. */
  *walk(place: L1Place): Io<void> {
    const { storage, fileSize } = this.#state;
    const length = place.size * 8;
    this.#state.refer(place.offset, length, place.snapshot === undefined ? "l1-table" : "snapshot");
    this.#state.noteTable(place.offset, length);
    const scans = new Scans(this.#state, place.snapshot);
    // past the end everything reads as zero: no entries
    const present = Math.min(length, Math.max(fileSize - place.offset, 0));
    const bytes = new Uint8Array(Math.ceil(Math.min(present, readLength) / 8) * 8);
    const view = new DataView(bytes.buffer);
    for (let done = 0; done < present; done += bytes.length) {
      const part = bytes.subarray(0, Math.ceil(Math.min(bytes.length, present - done) / 8) * 8);
      yield* readStorage(storage, IoVector.single(part), place.offset + done);
      yield* this.#walkPart(view, part.length / 8, done / 8, place, scans);
    }
  }

  /** @param first - index of the part's first entry in its table */
  *#walkPart(view: DataView, count: number, first: number, place: L1Place, scans: Scans): Io<void> {
    const { clusterSize } = this.#state;
    const most = Math.max(1, readLength / clusterSize);
    for (let index = 0; index < count; index++) {
      const high = view.getUint32(index * 8);
      const low = view.getUint32(index * 8 + 4);
      if ((high | low) === 0) {
        continue;
      }
      this.#checkEntry(high, low, first + index, place);
      const offset = tableOffset(high, low);
      let tables = 1;
      while (tables < most && index + 1 < count) {
        const nextHigh = view.getUint32(index * 8 + 8);
        const nextLow = view.getUint32(index * 8 + 12);
        if (tableOffset(nextHigh, nextLow) !== offset + tables * clusterSize) {
          break;
        }
        tables++;
        index++;
        this.#checkEntry(nextHigh, nextLow, first + index, place);
      }
      yield* this.#scanTables(offset, tables, (first + index + 1 - tables) * this.#coverage, scans);
    }
  }

  /** Reads `tables` tables behind each other, and looks through them. */
  *#scanTables(offset: number, tables: number, guestOffset: number, scans: Scans): Io<void> {
    const { storage, fileSize, clusterSize } = this.#state;
    if (offset >= fileSize) {
      return;
    }
    yield* checkpoint();
    const length = tables * clusterSize;
    const bytes = this.#state.scratch.take(length);
    yield* readStorage(storage, IoVector.single(bytes), offset);
    const scan = scans.of(offset);
    for (let index = 0; index < tables; index++) {
      scan.scan(bytes, {
        start: index * clusterSize,
        hostOffset: offset + index * clusterSize,
        guestOffset: guestOffset + index * this.#coverage,
      });
    }
  }

  #checkEntry(high: number, low: number, index: number, place: L1Place): void {
    const state = this.#state;
    const offset = tableOffset(high, low);
    const entryOffset = place.offset + index * 8;
    const guestOffset = index * this.#coverage;
    const corrupt = (kind: Finding["kind"], text: string, repair: Finding["repair"] = "none"): void => {
      state.findings.add("corruption", () => ({
        kind,
        message: `L1 entry ${String(index)} is ${entryText(high, low)}: ${text}`,
        repair,
        guestOffset,
        hostOffset: offset,
        entryOffset,
        table: "l1",
        entry: entryText(high, low),
        ...(place.snapshot === undefined ? {} : { snapshot: place.snapshot }),
      }));
    };
    const isAligned = offset % state.clusterSize === 0;
    if ((high & reservedHigh) !== 0 || (low & reservedLow) !== 0) {
      corrupt("reserved-bits", "reserved bits are set", isAligned ? "clear-bits" : "none");
    }
    const kind = place.snapshot === undefined ? "l2-table" : "snapshot";
    const repair = isAligned ? "unallocate" : "none";
    state.refer(offset, state.clusterSize, kind, guestOffset, entryOffset, "l1", repair);
    if (!isAligned) {
      corrupt("unaligned", `the L2 table at host offset ${hex(offset)} is not cluster-aligned`);
      // whatever the table refers to looks unused
      state.complete = false;
      state.noteUnreadable(offset, state.clusterSize);
    } else if (offset === 0) {
      state.anchors?.headless.set(entryOffset, guestOffset);
      state.complete = false;
    } else {
      state.anchors?.addTable(offset / state.clusterSize);
      state.noteTable(offset, state.clusterSize);
    }
    if (place.snapshot === undefined && offset !== 0) {
      this.#checkCopied(Math.floor(offset / state.clusterSize), (high & copiedFlag) !== 0, corrupt);
    }
  }

  #checkCopied(
    cluster: number,
    copied: boolean,
    corrupt: (kind: Finding["kind"], text: string, repair: Finding["repair"]) => void,
  ): void {
    const state = this.#state;
    const { fileClusters, recorded } = state;
    const judge = (isOne: boolean): void => {
      if (isOne !== copied) {
        const text = copied
          ? "the COPIED flag is set, but the refcount isn't 1"
          : "the refcount is 1, but the COPIED flag isn't set";
        corrupt("copied-flag", text, copied ? "clear-copied" : "set-copied");
      }
    };
    if (cluster >= fileClusters) {
      state.judgeLater(cluster, (refcount) => {
        judge(refcount === 1);
      });
    } else if (recorded.isKnown(cluster)) {
      judge(state.isOne(cluster));
    }
  }
}

/** How the L2 tables below one L1 table are looked through. */
class Scans {
  readonly #clusterSize: number;
  readonly #usual: L2Scan;
  readonly #misplaced: L2Scan;
  readonly #headless: L2Scan;

  constructor(state: CheckState, snapshot: string | undefined) {
    this.#clusterSize = state.clusterSize;
    this.#usual = new L2Scan(state, snapshot, { judges: snapshot === undefined, trusts: true });
    this.#misplaced = new L2Scan(state, snapshot, { judges: snapshot === undefined, trusts: false });
    this.#headless = new L2Scan(state, snapshot, { judges: false, trusts: false });
  }

  /** An entry that isn't 0 but has no offset names the header: as QEMU has it, what is there counts, but its flags don't. */
  of(offset: number): L2Scan {
    return offset === 0 ? this.#headless : offset % this.#clusterSize === 0 ? this.#usual : this.#misplaced;
  }
}

function tableOffset(high: number, low: number): number {
  return (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
}
