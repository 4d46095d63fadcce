export { IoVector } from "./io-vector.ts";
export type { IoVectorChunk } from "./io-vector.ts";
export { isZero } from "./is-zero.ts";
export { nextRun } from "./next-run.ts";
export type { ZeroRun } from "./next-run.ts";
export type { IoVectorRun } from "./zero-runs.ts";
