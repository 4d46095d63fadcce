import type { CheckState } from "../check/check-state.ts";

/** A place in the image. Bytes. */
interface Range {
  readonly offset: number;
  readonly length: number;
}

/**
 * Whether an entry may be changed where it lies, because its cluster holds that table and nothing else.
 * @param own - what the entry refers to, if it will not afterwards: it may be the one that refers to its own table as something else
 */
export function isSafeLocation(state: CheckState, table: "l1" | "l2", entryOffset: number, own?: Range): boolean {
  const { anchors, clusterSize, references } = state;
  const cluster = Math.floor(entryOffset / clusterSize);
  if (anchors === undefined || anchors.crowded.has(cluster)) {
    return false;
  }
  const metadata = anchors.metadata.get(cluster) ?? 0;
  const tables = anchors.tables.get(cluster) ?? 0;
  const isOneTable = table === "l1" ? metadata === 1 : metadata === 0;
  const unreadable = anchors.unreadable.get(cluster) ?? 0;
  const others = references.get(cluster) - (table === "l1" ? metadata : tables) - unreadable;
  const refersToItself =
    own !== undefined && own.offset < (cluster + 1) * clusterSize && own.offset + own.length > cluster * clusterSize;
  return isOneTable && others <= (refersToItself ? 1 : 0);
}

/**
 * Whether tables that have nothing to do with each other lie in the same place, so that nobody can tell what anything in there means. Refcounts don't
 * count: they can be written anew elsewhere.
 */
export function isEntangled({ anchors }: CheckState): boolean {
  for (const count of anchors?.fixed.values() ?? []) {
    if (count > 1) {
      return true;
    }
  }
  return false;
}
