import { hex, isImgError, type Io } from "@img/format-core";
import { loadBitmaps, type BitmapEntry } from "../bitmaps/load-bitmaps.ts";
import type { ClusterCodec } from "../codecs/codec.ts";
import { autoclear, hasFeature } from "../header/features.ts";
import type { Qcow2Header } from "../header/header.ts";
import type { CheckWalk } from "./check-image.ts";
import { DeepScan } from "./deep-scan.ts";
import { walkTables } from "./walk-tables.ts";

/**
 * Looks at what the tables lead to. Comes after the walk that counted references, and adds to its findings.
 * @param findCodec - asked for the one that the image says its clusters are compressed with
 */
export function* deepCheck(
  walk: CheckWalk,
  findCodec: (type: Qcow2Header["compressionType"]) => ClusterCodec,
): Io<void> {
  checkSnapshotIds(walk);
  yield* checkBitmaps(walk);
  if (walk.state.layout.externalDataFile) {
    return;
  }
  const scan = new DeepScan(walk.state, findCodec(walk.state.header.compressionType));
  for (const tree of walk.trees) {
    scan.beginDisk();
    yield* walkTables(walk.state, [tree], (table) => scan.visit(table), false);
  }
}

function checkSnapshotIds({ state, table }: CheckWalk): void {
  const known = new Set<string>();
  for (const { id, name } of table?.snapshots ?? []) {
    if (known.has(id)) {
      state.findings.add("corruption", () => ({
        kind: "snapshot-id",
        message: `snapshot ${JSON.stringify(name)} has the id ${JSON.stringify(id)}, which another one has as well`,
        repair: "none",
        snapshot: id,
      }));
    }
    known.add(id);
  }
}

function* checkBitmaps({ state, loaded: { header, known } }: CheckWalk): Io<void> {
  if (known.bitmaps === undefined || !hasFeature(header.autoclearFeatures, autoclear.bitmaps)) {
    return;
  }
  let bitmaps: readonly BitmapEntry[];
  try {
    bitmaps = yield* loadBitmaps(state.storage, known.bitmaps);
  } catch (error) {
    if (isImgError(error, "ERR_IMG_CORRUPT") || isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      // found already
      return;
    }
    throw error;
  }
  const names = new Set<string>();
  for (const { name, granularity, tableOffset, tableSize } of bitmaps) {
    const corrupt = (text: string): void => {
      state.findings.add("corruption", () => ({
        kind: "bitmap-size",
        message: `bitmap ${JSON.stringify(name)} ${text}`,
        repair: "none",
        hostOffset: tableOffset,
      }));
    };
    const expected = Math.ceil(Math.ceil(Math.ceil(header.size / granularity) / 8) / state.clusterSize);
    if (tableSize !== expected) {
      const text = `has a table of ${String(tableSize)} entries: a disk of ${String(header.size)} bytes needs ${String(expected)}`;
      corrupt(`${text} at a granularity of ${hex(granularity)}`);
    }
    if (names.has(name)) {
      corrupt("has the name of another one");
    }
    names.add(name);
  }
}
