import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { compressedCluster, entryOffset, parseHeader } from "@img/qcow2";
import { packPieces, type Piece } from "../children/bare/piece.ts";
import { runProgram } from "../run/run-program.ts";

/** The most that a bare program copies at once: two buffers of this size stay in a processor's cache. */
const longest = 2 ** 18;

/** Bytes of a header that has all that is asked of it. */
const headerRoom = 4096;

/** Bit 62 of an L2 entry, in the upper half. */
const compressedFlag = 0x4000_0000;
/** Bit 0 of one that isn't compressed: reads as zero. */
const zeroFlag = 1;

/** Where the data of an image that isn't compressed lies, in the order of the disk: `source` in the file, `target` in the disk. */
export function dataPieces(format: "raw" | "qcow2", path: string): Piece[] {
  const { output } = runProgram("qemu-img", ["map", "--output=json", "-f", format, path], { capture: true });
  const extents = JSON.parse(output) as { start: number; length: number; data: boolean; offset?: number }[];
  return extents.flatMap(({ start, length, data, offset }) =>
    data && offset !== undefined ? split({ source: offset, length, target: start }) : [],
  );
}

/** The same pieces, one behind the other in the target. */
export function packed(pieces: readonly Piece[]): Piece[] {
  let end = 0;
  return pieces.map((piece) => {
    const target = end;
    end += piece.length;
    return { ...piece, target };
  });
}

/** Pieces that are as long as a cluster, of which a shorter one may be at the end of an extent. */
export function clusterPieces(format: "raw" | "qcow2", path: string, clusterSize: number = 65_536): Piece[] {
  return dataPieces(format, path).flatMap((piece) => split(piece, clusterSize));
}

/** Where the clusters of a compressed image lie, in the order of the disk. Those that don't become smaller are plain. */
export function codedPieces(path: string): Piece[] {
  const fd = openSync(path, "r");
  try {
    const table = (offset: number, length: number): DataView => {
      const bytes = new Uint8Array(length);
      readSync(fd, bytes, 0, length, offset);
      return new DataView(bytes.buffer);
    };
    const { clusterBits, l1Size, l1TableOffset } = parseHeader(new Uint8Array(table(0, headerRoom).buffer));
    const clusterSize = 2 ** clusterBits;
    const l1 = table(l1TableOffset, 8 * l1Size);
    return Array.from({ length: l1Size }, (_, index) => entryAt(l1, index)).flatMap(([high, low], l1Index) => {
      const offset = entryOffset(high, low);
      const first = (l1Index * clusterSize * clusterSize) / 8;
      return offset === 0 ? [] : clustersIn(table(offset, clusterSize), clusterBits, first);
    });
  } finally {
    closeSync(fd);
  }
}

/** Writes pieces where a bare program finds them. @returns `path` */
export function writePieces(path: string, pieces: readonly Piece[]): string {
  writeFileSync(path, packPieces(pieces));
  return path;
}

/** Of one L2 table, whose first cluster is at `first` in the disk. */
function clustersIn(l2: DataView, clusterBits: number, first: number): Piece[] {
  const clusterSize = 2 ** clusterBits;
  return Array.from({ length: l2.byteLength / 8 }, (_, index) => entryAt(l2, index)).flatMap(([high, low], index) => {
    const target = first + index * clusterSize;
    if ((high & compressedFlag) !== 0) {
      const { offset, length } = compressedCluster(high, low, clusterBits);
      return [{ source: offset, length, target }];
    }
    const source = entryOffset(high, low);
    return source === 0 || (low & zeroFlag) !== 0 ? [] : [{ source, length: clusterSize, target, plain: true }];
  });
}

function entryAt(table: DataView, index: number): [high: number, low: number] {
  return [table.getUint32(8 * index), table.getUint32(8 * index + 4)];
}

function split({ source, length, target }: Piece, most: number = longest): Piece[] {
  return Array.from({ length: Math.ceil(length / most) }, (_, index) => ({
    source: source + index * most,
    length: Math.min(most, length - index * most),
    target: target + index * most,
  }));
}
