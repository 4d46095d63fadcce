import { refcountAt } from "@img/qcow2";
import type { DumpRow, DumpSection } from "./dump-section.ts";
import type { RawHeader } from "./raw-header.ts";
import type { RawImageFile } from "./raw-image-file.ts";
import { remarks, type TableGeometry } from "./table-geometry.ts";

const reserved = 0x1ffn;

/** Entries of the refcount table. */
export function refcountTableLength(header: RawHeader, geometry: TableGeometry): number {
  return (Number(header.value("refcount_table_clusters")) * geometry.clusterSize) / 8;
}

/** The entries of the refcount table that aren't zero. */
export function dumpRefcountTable(file: RawImageFile, header: RawHeader, geometry: TableGeometry): DumpSection {
  const offset = header.value("refcount_table_offset");
  const length = refcountTableLength(header, geometry);
  const coverage = BigInt(geometry.refcountsPerBlock) * BigInt(geometry.clusterSize);
  function* rows(): Generator<DumpRow> {
    for (const { index, value } of file.entries(offset, length, 8)) {
      const block = value & ~reserved;
      const flags = [
        ...remarks(value, reserved, block, geometry),
        ...(block >= file.size ? ["past the end of the file"] : []),
      ];
      yield { index, host: BigInt(index) * coverage, entry: value, refcount_block: block, flags: flags.join(", ") };
    }
  }
  return {
    title: `Refcount table at 0x${offset.toString(16)}: ${String(length)} entries, those that aren't zero:`,
    facts: { table: "refcount-table", offset, length },
    columns: [
      { key: "index", width: 8 },
      { key: "host", width: 14, hex: true },
      { key: "entry", width: 18, hex: true },
      { key: "refcount_block", width: 14, hex: true },
      { key: "flags", width: 0 },
    ],
    rows: rows(),
  };
}

/** Host offset of a refcount block; 0: none. */
export function refcountBlockOffset(file: RawImageFile, header: RawHeader, index: number): bigint {
  return file.read(header.value("refcount_table_offset") + BigInt(index * 8), 8).getBigUint64(0) & ~reserved;
}

/** The refcounts of one block that aren't zero; neighbours that are equal share a line. */
export function dumpRefcountBlock(
  file: RawImageFile,
  offset: bigint,
  index: number,
  geometry: TableGeometry,
): DumpSection {
  const { clusterSize, refcountsPerBlock, refcountOrder } = geometry;
  const first = index * refcountsPerBlock;
  function* rows(): Generator<DumpRow> {
    const view = file.read(offset, clusterSize);
    for (let at = 0; at < refcountsPerBlock;) {
      const refcount = refcountAt(view, at, refcountOrder);
      let end = at + 1;
      while (end < refcountsPerBlock && refcountAt(view, end, refcountOrder) === refcount) {
        end++;
      }
      if (refcount !== 0) {
        const host = BigInt(first + at) * BigInt(clusterSize);
        yield { cluster: first + at, count: end - at, host, refcount };
      }
      at = end;
    }
  }
  return {
    title: `Refcount block ${String(index)} at 0x${offset.toString(16)}: clusters with a refcount:`,
    facts: { table: "refcount-block", index, offset, length: refcountsPerBlock },
    columns: [
      { key: "cluster", width: 12 },
      { key: "count", width: 10 },
      { key: "host", width: 14, hex: true },
      { key: "refcount", width: 0 },
    ],
    rows: rows(),
  };
}
