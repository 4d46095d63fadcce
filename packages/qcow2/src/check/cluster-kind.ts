/** What a host cluster is used for. `leaked`: it has a refcount, but nothing refers to it. `free`: neither. */
export const clusterKinds = [
  "free",
  "header",
  "refcount-table",
  "refcount-block",
  "l1-table",
  "l2-table",
  "data",
  "compressed",
  "snapshot",
  "bitmap",
  "crypto",
  "leaked",
] as const;

/** One of {@link clusterKinds}. */
export type ClusterKind = (typeof clusterKinds)[number];

/** The number that stands for a kind in arrays: its place in {@link clusterKinds}. */
export function clusterKindNumber(kind: ClusterKind): number {
  return clusterKinds.indexOf(kind);
}
