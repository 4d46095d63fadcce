import {
  compressedCluster,
  compressedFlag,
  copiedFlag,
  entryOffset,
  zeroFlag,
  type CompressedCluster,
  type L2EntryLayout,
} from "../tables/l2-entry.ts";
import { subclusterCount } from "../header/layout.ts";
import { Piece } from "../mapping/piece.ts";

/**
 * What an L2 entry says about a guest cluster, for whoever is going to change it. Without extended L2 entries a cluster has one granule, with
 * them its 32 subclusters; bit i of a mask stands for granule i.
 */
export interface ClusterState {
  /** Host offset of the cluster; `undefined`: it has none, or is compressed. */
  readonly host: number | undefined;
  readonly compressed: CompressedCluster | undefined;
  /** The host cluster may be written in place. */
  readonly copied: boolean;
  /** Granules whose bytes are in the host cluster. */
  readonly data: number;
  /** Granules that read as zero. */
  readonly zero: number;
}

/** Granules of one cluster. */
export function granuleCount(layout: L2EntryLayout): number {
  return layout.extended ? subclusterCount : 1;
}

/** A mask with all granules of a cluster. */
export function allGranules(layout: L2EntryLayout): number {
  return layout.extended ? 0xffff_ffff : 1;
}

/** Granules first … last as a mask, unsigned. */
export function granuleMask(first: number, last: number): number {
  const count = last - first + 1;
  return count >= 32 ? 0xffff_ffff : (((1 << count) - 1) << first) >>> 0;
}

/** Bytes of an L2 entry that isn't extended. */
const standardEntryLength = 8;

/** What an entry of zeroes that isn't extended says, which is what most are that are written to. One for all: nobody changes it. */
export const unallocated: ClusterState = { host: undefined, compressed: undefined, copied: false, data: 0, zero: 0 };

/** Decodes entries only to check them; nobody keeps what it says. */
const checker = new Piece();

/**
 * Decodes and checks the entry at `index` of a slice.
 * @param guest - guest offset of the cluster
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function decodeState(view: DataView, index: number, guest: number, layout: L2EntryLayout): ClusterState {
  const at = index * layout.entryLength;
  const high = view.getUint32(at);
  const low = view.getUint32(at + 4);
  if (high === 0 && low === 0 && !layout.extended) {
    return unallocated;
  }
  // checks everything that there is to check
  checker.decode(view, index, 0, guest, layout);
  if ((high & compressedFlag) !== 0) {
    const compressed = compressedCluster(high, low, layout.clusterBits);
    return { host: undefined, compressed, copied: false, data: 0, zero: 0 };
  }
  const copied = (high & copiedFlag) !== 0;
  const offset = entryOffset(high, low);
  const isZero = layout.hasZeroFlag && (low & zeroFlag) !== 0;
  const host = offset !== 0 || (layout.externalDataFile && copied && !isZero) ? offset : undefined;
  if (layout.extended) {
    return { host, compressed: undefined, copied, data: view.getUint32(at + 12), zero: view.getUint32(at + 8) };
  }
  const zero = isZero ? 1 : 0;
  return { host, compressed: undefined, copied, data: host !== undefined && zero === 0 ? 1 : 0, zero };
}

/** Writes the entry at `index` of a slice; `state` must not be compressed. */
export function encodeState(view: DataView, index: number, state: ClusterState, layout: L2EntryLayout): void {
  const at = index * layout.entryLength;
  const host = state.host ?? 0;
  const high = Math.floor(host / 0x1_0000_0000) | (state.copied ? copiedFlag : 0);
  const low = host % 0x1_0000_0000;
  view.setUint32(at, high);
  if (layout.extended) {
    view.setUint32(at + 4, low);
    view.setUint32(at + 8, state.zero);
    view.setUint32(at + 12, state.data);
  } else {
    view.setUint32(at + 4, low + (state.zero !== 0 ? zeroFlag : 0));
  }
}

/** Writes the entry at `index` of a slice where it was {@link unallocated}: a host cluster that may be written in place. */
export function encodeNew(view: DataView, index: number, host: number): void {
  const at = index * standardEntryLength;
  view.setUint32(at, Math.floor(host / 0x1_0000_0000) | copiedFlag);
  view.setUint32(at + 4, host % 0x1_0000_0000);
}

/** A part of a cluster, bytes from the cluster's start. */
export interface ClusterRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of a cluster that need their old contents in the host cluster, when `[from, to)` is going to be data.
 * @param moves - the host cluster is a new one: what was data in the old one has to come along
 * @param overwrite - `[from, to)` itself is going to be written by somebody else
 */
export function rangesToFill(
  state: ClusterState,
  from: number,
  to: number,
  moves: boolean,
  overwrite: boolean,
  layout: L2EntryLayout,
): ClusterRange[] {
  const size = layout.clusterSize / granuleCount(layout);
  const ranges: { start: number; end: number }[] = [];
  const add = (start: number, end: number): void => {
    const last = ranges.at(-1);
    if (start < end) {
      if (last?.end === start) {
        last.end = end;
      } else {
        ranges.push({ start, end });
      }
    }
  };
  for (let granule = 0; granule < granuleCount(layout); granule++) {
    const start = granule * size;
    const end = start + size;
    const touched = from < end && to > start;
    const isData = state.compressed !== undefined || ((state.data >>> granule) & 1) === 1;
    if (moves ? !touched && !isData : !touched || isData) {
      continue;
    }
    if (touched && overwrite) {
      add(start, Math.max(start, from));
      add(Math.min(end, to), end);
    } else {
      add(start, end);
    }
  }
  return ranges;
}

/** The entry after `[from, to)` (which may be empty) became data in the cluster at `host`. */
export function stateAfterWrite(
  state: ClusterState,
  host: number,
  from: number,
  to: number,
  layout: L2EntryLayout,
): ClusterState {
  const size = layout.clusterSize / granuleCount(layout);
  const touched = from === to ? 0 : granuleMask(Math.floor(from / size), Math.ceil(to / size) - 1);
  const data = state.compressed === undefined ? (state.data | touched) >>> 0 : allGranules(layout);
  return { host, compressed: undefined, copied: true, data, zero: (state.zero & ~data) >>> 0 };
}

/** Whether all of `[from, to)` is data in the host cluster already. */
export function isData(state: ClusterState, from: number, to: number, layout: L2EntryLayout): boolean {
  const size = layout.clusterSize / granuleCount(layout);
  const touched = granuleMask(Math.floor(from / size), Math.ceil(to / size) - 1);
  return state.host !== undefined && (state.data & touched) >>> 0 === touched;
}
