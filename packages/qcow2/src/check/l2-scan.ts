import { isZero } from "@img/io-vector";
import { hex } from "@img/format-core";
import { compressedFlag, copiedFlag, entryText, zeroFlag } from "../tables/l2-entry.ts";
import type { CheckState } from "./check-state.ts";
import { clusterKindNumber, type ClusterKind } from "./cluster-kind.ts";
import type { Finding } from "./finding.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;
const reservedHigh = 0x3f00_0000;
const reservedLow = 0x0000_01fe;

/** Parts of a table that are zero are passed over in one go. Bytes. */
const blockLength = 4096;

/** Which L2 table is looked at. */
export interface L2TablePlace {
  /** Where it begins in the bytes that were read. */
  readonly start: number;
  readonly hostOffset: number;
  /** Of its first entry. */
  readonly guestOffset: number;
}

/**
 * Looks through L2 tables: checks every entry and counts what it refers to. Pure; no object is made for an entry that is as it should be.
 */
export class L2Scan {
  readonly #state: CheckState;
  /** The tables are the active ones: the statistics are about them. */
  readonly #active: boolean;
  /** COPIED flags mean something. */
  readonly #judges: boolean;
  /** Id of the snapshot whose tables they are. */
  readonly #snapshot: string | undefined;
  readonly #kind: ClusterKind;
  readonly #kindNumber: number;
  /** It really is a table: what is wrong in it may be changed. */
  readonly #trusts: boolean;
  /** Bits that an entry of the usual kind doesn't have. */
  readonly #unusualHigh: number;
  readonly #unusualLow: number;
  /** Runs of usual entries are counted in one go; what has to be told apart is not. */
  readonly #inRuns: boolean;
  /** End of the cluster before, if it was allocated and in the same table; host offset. */
  #next = 0;

  /**
   * @param snapshot - id of the snapshot that the tables belong to; `undefined`: they are the active ones
   * @param how - `judges`: COPIED flags have to agree with refcounts, as in active tables; `trusts`: these really are tables, so that what is wrong in
   * them may be changed
   */
  constructor(
    state: CheckState,
    snapshot: string | undefined,
    how: { readonly judges: boolean; readonly trusts: boolean },
  ) {
    const { layout } = state;
    this.#state = state;
    this.#active = snapshot === undefined;
    this.#judges = how.judges;
    this.#trusts = how.trusts;
    this.#inRuns = how.trusts || state.anchors === undefined;
    this.#snapshot = snapshot;
    this.#kind = snapshot === undefined ? "data" : "snapshot";
    this.#kindNumber = clusterKindNumber(this.#kind);
    // a cluster number that isn't below 2^31 is past the end of every file that can be checked
    this.#unusualHigh = compressedFlag | reservedHigh | (offsetHigh & ~(2 ** (layout.clusterBits - 1) - 1));
    this.#unusualLow = layout.clusterSize - 1 - (layout.hasZeroFlag ? zeroFlag : 0);
  }

  /** Looks through one table in `bytes`. */
  scan(bytes: Uint8Array, place: L2TablePlace): void {
    this.#next = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { clusterSize } = this.#state;
    const length = Math.min(blockLength, clusterSize);
    for (let within = 0; within < clusterSize; within += length) {
      const start = place.start + within;
      if (isZero(bytes.subarray(start, start + length))) {
        continue;
      }
      if (this.#state.layout.externalDataFile) {
        this.#scanExternal(view, place, within, within + length);
      } else {
        this.#scanInternal(view, place, within, within + length);
      }
    }
  }

  #scanInternal(bytes: DataView, place: L2TablePlace, from: number, to: number): void {
    const { clusterBits, clusterSize, entryLength, extended, hasZeroFlag } = this.#state.layout;
    const { fileClusters } = this.#state;
    const unusualHigh = this.#unusualHigh;
    const unusualLow = this.#unusualLow;
    const highShift = 32 - clusterBits;
    let next = alignedCluster(this.#next, clusterSize);
    let allocated = 0;
    let fragmented = 0;
    for (let within = from; within < to; within += entryLength) {
      const at = place.start + within;
      const high = bytes.getInt32(at);
      const low = bytes.getInt32(at + 4);
      const zeroes = extended ? bytes.getInt32(at + 8) : 0;
      const present = extended ? bytes.getInt32(at + 12) : 0;
      if ((high | low | present) === 0) {
        continue;
      }
      if ((high & unusualHigh) === 0 && (low & unusualLow) === 0 && (zeroes & present) === 0) {
        const cluster = ((high & offsetHigh) << highShift) | (low >>> clusterBits);
        if (cluster === 0 && hasZeroFlag && (low & zeroFlag) !== 0) {
          continue;
        }
        if (cluster !== 0 && cluster < fileClusters && this.#inRuns) {
          const run = runLength(bytes, at, place.start + to, clusterSize, entryLength);
          // the sign is the COPIED flag
          const counted = this.#countRun(cluster, Math.min(run, fileClusters - cluster), high >>> 31);
          if (counted > 0) {
            allocated += counted;
            if (next !== 0 && next !== cluster) {
              fragmented++;
            }
            next = cluster + counted;
            within += (counted - 1) * entryLength;
            continue;
          }
        }
      }
      if (next >= 0) {
        this.#next = next * clusterSize;
      }
      this.#entry(bytes, place, within);
      next = alignedCluster(this.#next, clusterSize);
    }
    if (next >= 0) {
      this.#next = next * clusterSize;
    }
    this.#addStatistics(allocated, fragmented);
  }

  /**
   * Counts references to clusters behind each other, as far as each can be counted and its COPIED flag is right.
   * @param copied - the flag of all of them, 0 or 1
   * @returns how many of them
   */
  #countRun(first: number, length: number, copied: number): number {
    const { counters, limit } = this.#state.references;
    const { ones } = this.#state.recorded;
    const { kinds } = this.#state;
    const judges = this.#judges;
    for (let cluster = first; cluster < first + length; cluster++) {
      const count = counters[cluster] ?? limit;
      const one = ((ones[cluster >>> 3] ?? 0) >>> (cluster & 7)) & 1;
      if (count >= limit || (judges && one !== copied)) {
        return cluster - first;
      }
      counters[cluster] = count + 1;
      if (kinds?.[cluster] === 0) {
        kinds[cluster] = this.#kindNumber;
      }
    }
    return length;
  }

  #scanExternal(bytes: DataView, place: L2TablePlace, from: number, to: number): void {
    const { clusterSize, entryLength, extended } = this.#state.layout;
    let next = this.#next;
    let allocated = 0;
    let fragmented = 0;
    for (let within = from; within < to; within += entryLength) {
      const at = place.start + within;
      const high = bytes.getInt32(at);
      const low = bytes.getInt32(at + 4);
      const zeroes = extended ? bytes.getInt32(at + 8) : 0;
      const present = extended ? bytes.getInt32(at + 12) : 0;
      if ((high | low | present) === 0) {
        continue;
      }
      const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
      const expected = place.guestOffset + (within / entryLength) * clusterSize;
      const usual = (high & this.#unusualHigh) === 0 && (low & (this.#unusualLow | zeroFlag)) === 0;
      if (usual && high < 0 && offset === expected && (zeroes & present) === 0) {
        // what comes behind each other here is expected behind each other, too
        const run = runLength(bytes, at, place.start + to, clusterSize, entryLength);
        allocated += run;
        if (next !== 0 && next !== offset) {
          fragmented++;
        }
        next = offset + run * clusterSize;
        within += (run - 1) * entryLength;
        continue;
      }
      this.#next = next;
      this.#entry(bytes, place, within);
      next = this.#next;
    }
    this.#next = next;
    this.#addStatistics(allocated, fragmented);
  }

  #addStatistics(allocated: number, fragmented: number): void {
    if (this.#active) {
      this.#state.allocatedClusters += allocated;
      this.#state.fragmentedClusters += fragmented;
    }
  }

  /** Looks at any one entry. */
  #entry(bytes: DataView, place: L2TablePlace, within: number): void {
    const { clusterSize, entryLength, extended } = this.#state.layout;
    const at = place.start + within;
    const entry: Entry = {
      high: bytes.getUint32(at),
      low: bytes.getUint32(at + 4),
      zeroes: extended ? bytes.getUint32(at + 8) : 0,
      allocated: extended ? bytes.getUint32(at + 12) : 0,
      guestOffset: place.guestOffset + (within / entryLength) * clusterSize,
      entryOffset: place.hostOffset + within,
    };
    if ((entry.high & compressedFlag) !== 0) {
      this.#compressed(entry);
    } else {
      this.#uncompressed(entry);
    }
  }

  #compressed(entry: Entry): void {
    const { high, low, guestOffset, entryOffset } = entry;
    const { layout } = this.#state;
    if ((high & copiedFlag) !== 0) {
      this.#corrupt(entry, "compressed-copied", "a compressed cluster has the COPIED flag", "clear-copied");
    }
    if (layout.externalDataFile) {
      this.#corrupt(entry, "compressed-external", "a compressed cluster in an image with an external data file");
      return;
    }
    if (entry.zeroes !== 0 || entry.allocated !== 0) {
      this.#corrupt(entry, "compressed-subclusters", "a compressed cluster has subclusters", "clear-bits");
    } else if (this.#active) {
      this.#state.allocatedClusters++;
      this.#state.compressedClusters++;
      this.#state.fragmentedClusters++;
    }
    const offsetBits = 62 - (layout.clusterBits - 8) - 32;
    const offset = (high & (2 ** offsetBits - 1)) * 0x1_0000_0000 + low;
    const sectors = ((high & 0x3fff_ffff) >>> offsetBits) + 1;
    const kind = this.#active ? "compressed" : "snapshot";
    const repair = this.#trusts && offset < this.#state.fileSize ? "shorten" : "none";
    const length = sectors * 512 - (offset % 512);
    this.#state.refer(offset, length, kind, guestOffset, entryOffset, "l2", repair);
    if (!this.#trusts) {
      this.#state.noteUnreadable(offset, length);
    }
  }

  #uncompressed(entry: Entry): void {
    const { high, low } = entry;
    const { extended, hasZeroFlag, externalDataFile } = this.#state.layout;
    if ((high & reservedHigh) !== 0 || (low & reservedLow) !== 0) {
      this.#corrupt(entry, "reserved-bits", "reserved bits are set", "clear-bits");
    }
    const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
    const copied = (high & copiedFlag) !== 0;
    const hasBit0 = (low & zeroFlag) !== 0;
    if (hasBit0 && !hasZeroFlag) {
      // meant as zero, it must not show what is below
      const isClear = extended || offset !== 0 || this.#state.header.backingFileOffset === 0;
      this.#corrupt(
        entry,
        "zero-flag",
        `bit 0 is set, which ${extended ? "extended L2 entries don't" : "version 2 doesn't"} have`,
        isClear ? "clear-bits" : "none",
      );
    }
    if (offset === 0 && (!(externalDataFile && copied) || (hasBit0 && !extended))) {
      if (entry.allocated !== 0) {
        this.#corrupt(entry, "subclusters", "subclusters are marked as allocated, but the cluster isn't");
      }
      return;
    }
    this.#allocated(entry, offset, copied, extended ? entry.allocated === 0 : hasBit0);
  }

  #allocated(entry: Entry, offset: number, copied: boolean, isZero: boolean): void {
    const { layout } = this.#state;
    if ((entry.zeroes & entry.allocated) !== 0) {
      this.#corrupt(entry, "subclusters", "subclusters are marked as zero and as allocated", "clear-bits");
    }
    if (offset % layout.clusterSize !== 0) {
      const repair = isZero ? "make-zero" : "none";
      this.#corrupt(entry, "unaligned", `host offset ${hex(offset)} is not cluster-aligned`, repair);
    }
    if (layout.externalDataFile) {
      if (offset !== entry.guestOffset) {
        const text = `offset ${hex(offset)} in the data file isn't the guest offset`;
        this.#corrupt(entry, "external-offset", text, "set-offset");
      }
    } else {
      const repair = this.#beyondRepair(offset, isZero);
      this.#state.refer(offset, layout.clusterSize, this.#kind, entry.guestOffset, entry.entryOffset, "l2", repair);
      if (!this.#trusts || offset % layout.clusterSize !== 0) {
        this.#state.noteUnreadable(offset, layout.clusterSize);
      }
    }
    if (!this.#active) {
      return;
    }
    this.#state.allocatedClusters++;
    if (this.#next !== 0 && offset !== this.#next) {
      this.#state.fragmentedClusters++;
    }
    this.#next = offset + layout.clusterSize;
    if (this.#judges) {
      this.#checkCopied(entry, offset, copied);
    }
  }

  /** What helps a cluster that is past the end. */
  #beyondRepair(offset: number, isZero: boolean): Finding["repair"] {
    const { layout, header } = this.#state;
    const isReadable = isZero || offset % layout.clusterSize === 0;
    // without a zero flag, nothing but data hides what is below
    const canHide = header.version === 3 || header.backingFileOffset === 0;
    return this.#trusts && isReadable && canHide ? "make-zero" : "none";
  }

  #checkCopied(entry: Entry, offset: number, copied: boolean): void {
    const { layout, fileClusters, recorded } = this.#state;
    const cluster = Math.floor(offset / layout.clusterSize);
    if (layout.externalDataFile) {
      this.#judgeCopied(entry, copied, 1);
    } else if (cluster >= fileClusters) {
      this.#state.judgeLater(cluster, (refcount) => {
        this.#judgeCopied(entry, copied, refcount);
      });
    } else if (this.#state.isOne(cluster) !== copied && recorded.isKnown(cluster)) {
      this.#judgeCopied(entry, copied, copied ? undefined : 1);
    }
  }

  #judgeCopied(entry: Entry, copied: boolean, refcount: number | undefined): void {
    if ((refcount === 1) !== copied) {
      const text = copied
        ? "the COPIED flag is set, but the refcount isn't 1"
        : "the refcount is 1, but the COPIED flag isn't set";
      this.#corrupt(entry, "copied-flag", text, copied ? "clear-copied" : "set-copied");
    }
  }

  #corrupt(entry: Entry, kind: Finding["kind"], text: string, repair: Finding["repair"] = "none"): void {
    const { high, low, guestOffset, entryOffset } = entry;
    const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
    this.#state.findings.add("corruption", () => ({
      kind,
      message: `L2 entry ${entryText(high, low)} of guest offset ${hex(guestOffset)}: ${text}`,
      repair: this.#trusts ? repair : "none",
      guestOffset,
      entryOffset,
      table: "l2",
      entry: entryText(high, low),
      ...((high & compressedFlag) !== 0 ? {} : { hostOffset: offset }),
      ...(this.#snapshot === undefined ? {} : { snapshot: this.#snapshot }),
    }));
  }
}

/**
 * How many entries from `at` on, at most up to `end`, name clusters behind each other with the same flags, and the same subclusters in each. At
 * least 1.
 */
function runLength(bytes: DataView, at: number, end: number, clusterSize: number, entryLength: number): number {
  const high = bytes.getInt32(at);
  let low = bytes.getInt32(at + 4);
  let next = at + entryLength;
  while (next < end) {
    low = (low + clusterSize) | 0;
    // the upper half goes on where the lower one begins again
    if (low >>> 0 < clusterSize) {
      break;
    }
    if (bytes.getInt32(next + 4) !== low || bytes.getInt32(next) !== high) {
      break;
    }
    if (entryLength === 16 && !haveSameSubclusters(bytes, at, next)) {
      break;
    }
    next += entryLength;
  }
  return (next - at) / entryLength;
}

function haveSameSubclusters(bytes: DataView, first: number, second: number): boolean {
  return (
    bytes.getInt32(first + 8) === bytes.getInt32(second + 8) &&
    bytes.getInt32(first + 12) === bytes.getInt32(second + 12)
  );
}

/** The cluster at a host offset; −1, which none is equal to, where it isn't aligned or is very far away. */
function alignedCluster(offset: number, clusterSize: number): number {
  const cluster = offset / clusterSize;
  return cluster === (cluster | 0) ? cluster : -1;
}

interface Entry {
  readonly high: number;
  readonly low: number;
  /** With extended L2 entries: which subclusters read as zero, and which are allocated. */
  readonly zeroes: number;
  readonly allocated: number;
  readonly guestOffset: number;
  /** Where it lies in the image. */
  readonly entryOffset: number;
}
