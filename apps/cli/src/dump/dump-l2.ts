import type { DumpRow, DumpSection } from "./dump-section.ts";
import type { RawEntry, RawImageFile } from "./raw-image-file.ts";
import { remarks, type TableGeometry } from "./table-geometry.ts";

const offsetMask = 0x00ff_ffff_ffff_fe00n;
const reserved = 0x3f00_0000_0000_01fen;
const copied = 1n << 63n;
const compressed = 1n << 62n;

/** The entries of one L2 table that aren't zero. `index` is the L1 entry that names the table. */
export function dumpL2(file: RawImageFile, offset: bigint, index: number, geometry: TableGeometry): DumpSection {
  const { clusterSize, l2Entries, l2EntrySize } = geometry;
  const first = BigInt(index) * BigInt(l2Entries) * BigInt(clusterSize);
  function* rows(): Generator<DumpRow> {
    for (const entry of file.entries(offset, l2Entries, l2EntrySize)) {
      const guest = first + BigInt(entry.index) * BigInt(clusterSize);
      yield { index: entry.index, guest, ...describeEntry(entry, geometry) };
    }
  }
  return {
    title:
      `L2 table ${String(index)} at 0x${offset.toString(16)}: ` +
      `${String(l2Entries)} entries, those that aren't zero:`,
    facts: { table: "l2", index, offset, length: l2Entries },
    columns: [
      { key: "index", width: 6 },
      { key: "guest", width: 14, hex: true },
      { key: "entry", width: 18, hex: true },
      ...(l2EntrySize === 16 ? [{ key: "bitmap", width: 18, hex: true }] : []),
      { key: "kind", width: 14 },
      { key: "host", width: 14, hex: true },
      { key: "length", width: 8, hex: true },
      { key: "flags", width: 0 },
    ],
    rows: rows(),
  };
}

function describeEntry(raw: RawEntry, geometry: TableGeometry): DumpRow {
  const { value, bitmap } = raw;
  const extended = geometry.l2EntrySize === 16;
  const common = { entry: value, ...(extended ? { bitmap } : {}) };
  if ((value & compressed) !== 0n) {
    return { ...common, kind: "compressed", ...compressedPlace(value, geometry), flags: compressedFlags(raw) };
  }
  const host = value & offsetMask;
  const isZero = !extended && (value & 1n) !== 0n;
  const flags = [
    ...((value & copied) === 0n ? [] : ["copied"]),
    ...remarks(value, extended ? reserved | 1n : reserved, host, geometry),
    ...((bitmap & (bitmap >> 32n) & 0xffff_ffffn) === 0n ? [] : ["subclusters both allocated and zero"]),
  ];
  const kind = isZero ? (host === 0n ? "zero" : "zero, reserved") : kindOfPlain(host, bitmap, extended);
  return { ...common, kind, host: host === 0n && isZero ? undefined : host, flags: flags.join(", ") };
}

function kindOfPlain(host: bigint, bitmap: bigint, extended: boolean): string {
  if (!extended) {
    return "data";
  }
  const [allocated, zero] = [bitmap & 0xffff_ffffn, bitmap >> 32n];
  const parts = [
    ...(allocated === 0n ? [] : ["data"]),
    ...(zero === 0n ? [] : ["zero"]),
    ...(allocated === 0n && zero === 0n ? [host === 0n ? "nothing" : "reserved"] : []),
  ];
  return parts.join(" + ");
}

/** qcow2 specification, "Compressed Clusters Descriptor". */
function compressedPlace(value: bigint, { clusterBits }: TableGeometry): { host: bigint; length: number } {
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const host = value & ((1n << offsetBits) - 1n);
  const sectors = (value & (compressed - 1n)) >> offsetBits;
  return { host, length: Number((sectors + 1n) * 512n - (host & 511n)) };
}

function compressedFlags({ value, bitmap }: RawEntry): string {
  return [
    ...((value & copied) === 0n ? [] : ["copied, which compressed clusters can't be"]),
    ...(bitmap === 0n ? [] : ["has a bitmap, which compressed clusters can't have"]),
  ].join(", ");
}
