import { humanSize } from "../output/human-size.ts";
import type { DiskPlot } from "./disk-plot.ts";

/** What a picture says in numbers: how much is allocated, and in how many pieces. */
export function plotFacts(plot: DiskPlot): string[] {
  const { length, stored, runs, longestRun } = plot;
  const percent = (part: number): string => `${((length === 0 ? 0 : part / length) * 100).toFixed(1)}%`;
  const own = stored + (plot.totals.get("compressed") ?? 0);
  const below = plot.totals.get("below") ?? 0;
  const pieces = runs === 1 ? "1 piece" : `${String(runs)} pieces`;
  return [
    `${humanSize(own)} (${percent(own)}) in the image itself${below === 0 ? "" : `, ${humanSize(below)} (${percent(below)}) below`}`,
    ...(runs === 0
      ? []
      : [`${pieces}, ${humanSize(Math.round(stored / runs))} each on average, at most ${humanSize(longestRun)}`]),
  ];
}
