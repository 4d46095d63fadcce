import type { FormatAccess } from "@img/format-core";
import { mapBatches, type MapRange } from "@img/operations";
import { CommandError } from "../errors/command-error.ts";
import { printable } from "../output/printable.ts";
import type { Terminal } from "../terminal.ts";
import { DiskPlot } from "./disk-plot.ts";
import { plotSvg, svgCells, svgGrid } from "./plot-svg.ts";
import { plotRows, plotText } from "./plot-text.ts";

/** Columns of a picture that goes to a file or a pipe. */
const usualWidth = 80;

/** Which picture `--plot` asks for. @throws CommandError for one that there isn't */
export function plotKind(value: string): "terminal" | "svg" {
  if (value === "" || value === "terminal") {
    return "terminal";
  }
  if (value === "svg") {
    return "svg";
  }
  throw new CommandError(`--plot must be used with terminal or svg as argument, not '${value}'`);
}

/** Prints a picture of what a disk's parts are and where they lie. Reads metadata only. */
export async function printPlot(
  image: FormatAccess,
  kind: "terminal" | "svg",
  range: MapRange,
  filename: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const width = terminal.outputWidth ?? usualWidth;
  const start = Math.min(range.offset ?? 0, image.size);
  const length = Math.min(range.length ?? Infinity, image.size - start);
  const cells = kind === "svg" ? svgCells : width * plotRows;
  const plot = new DiskPlot(start, length, {
    diskCells: cells,
    fileCells: cells,
    ...(kind === "svg" ? { grid: svgGrid } : {}),
  });
  for await (const entries of mapBatches(image, { ...range, signal })) {
    for (const entry of entries) {
      plot.add(entry);
    }
  }
  const paint = (code: number, text: string): string => terminal.paintOutput(code, text);
  await terminal.print(kind === "svg" ? plotSvg(plot, printable(filename)) : plotText(plot, filename, width, paint));
}
