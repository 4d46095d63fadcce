import type { DumpRow, DumpSection } from "./dump-section.ts";
import type { RawImageFile } from "./raw-image-file.ts";
import { remarks, type TableGeometry } from "./table-geometry.ts";

const offsetMask = 0x00ff_ffff_ffff_fe00n;
const reserved = 0x7f00_0000_0000_01ffn;
const copied = 1n << 63n;

/** Where an L1 table is. */
export interface L1Place {
  readonly offset: bigint;
  /** Entries. */
  readonly count: number;
}

/** The entries of an L1 table that aren't zero. */
export function dumpL1(file: RawImageFile, place: L1Place, geometry: TableGeometry): DumpSection {
  const coverage = geometry.l2Entries * geometry.clusterSize;
  function* rows(): Generator<DumpRow> {
    for (const { index, value } of file.entries(place.offset, place.count, 8)) {
      const offset = value & offsetMask;
      const flags = [
        ...((value & copied) === 0n ? [] : ["copied"]),
        ...remarks(value, reserved, offset, geometry),
        ...(offset >= file.size ? ["past the end of the file"] : []),
      ];
      yield { index, guest: BigInt(index) * BigInt(coverage), entry: value, l2_table: offset, flags: flags.join(", ") };
    }
  }
  return {
    title: `L1 table at 0x${place.offset.toString(16)}: ${String(place.count)} entries, those that aren't zero:`,
    facts: { table: "l1", offset: place.offset, length: place.count },
    columns: [
      { key: "index", width: 8 },
      { key: "guest", width: 14, hex: true },
      { key: "entry", width: 18, hex: true },
      { key: "l2_table", width: 14, hex: true },
      { key: "flags", width: 0 },
    ],
    rows: rows(),
  };
}

/** Host offset of the L2 table that an L1 entry names; 0: none. */
export function l2TableOffset(file: RawImageFile, place: L1Place, index: number): bigint {
  return file.read(place.offset + BigInt(index * 8), 8).getBigUint64(0) & offsetMask;
}
