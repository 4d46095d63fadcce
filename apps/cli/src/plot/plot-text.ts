import { humanSize } from "../output/human-size.ts";
import { printable } from "../output/printable.ts";
import type { DiskPlot, FilePlot } from "./disk-plot.ts";
import { extentKinds, kindNames, type ExtentKind } from "./extent-kind.ts";
import { plotFacts } from "./plot-facts.ts";
import { runsOf } from "./runs-of.ts";

/** Rows that either part of the picture takes at most. */
export const plotRows = 8;

/** Colours text (an SGR code), or leaves it as it is. */
export type Paint = (code: number, text: string) => string;

const glyphs: Readonly<Record<ExtentKind, string>> = {
  data: "█",
  compressed: "▓",
  below: "▒",
  zero: "░",
  nothing: "·",
};
const colours: Readonly<Record<ExtentKind, number>> = { data: 32, compressed: 36, below: 34, zero: 33, nothing: 90 };
/** From the beginning of the disk to its end. */
const heights = "▁▂▃▄▅▆▇█";
const heightColours = [34, 36, 32, 33, 31];

/**
 * The picture for a terminal: what each place of the disk is, and for each place of the file which part of the disk lies there.
 * @param width - columns
 */
export function plotText(plot: DiskPlot, filename: string, width: number, paint: Paint): string {
  const { disk, file, length } = plot;
  const shown = extentKinds.filter((kind) => (plot.totals.get(kind) ?? 0) > 0);
  const legend = shown.map((kind) => `${paint(colours[kind], glyphs[kind])} ${kindNames[kind]}`).join("   ");
  const cells = Array.from({ length: disk.count }, (_, cell) => {
    // what is there is shown, however little it is
    const kind = disk.largest(extentKinds.slice(0, -1), cell) ?? "nothing";
    return { glyph: glyphs[kind], colour: colours[kind] };
  });
  return (
    `${printable(filename)}\n${plotFacts(plot)
      .map((fact) => `${fact}\n`)
      .join("")}\n` +
    `disk: ${humanSize(length)}, each place ${humanSize(disk.cellSize)}\n${rows(cells, width, paint)}${legend}\n` +
    (file === undefined ? "" : `\n${fileText(file, width, paint)}`)
  );
}

function fileText({ size, strip }: FilePlot, width: number, paint: Paint): string {
  const cells = Array.from({ length: strip.count }, (_, cell) => {
    const data = strip.amount("data", cell);
    if (data === 0) {
      return { glyph: glyphs.nothing, colour: colours.nothing };
    }
    const position = strip.amount("position", cell) / data;
    return { glyph: step(heights, position), colour: step(heightColours, position) };
  });
  const [first = "", last = ""] = [heights[0], heights.at(-1)];
  return (
    `file: ${humanSize(size)}, each place ${humanSize(strip.cellSize)}\n${rows(cells, width, paint)}` +
    `where its data belong: ${paint(34, first)} beginning of the disk … ${paint(31, last)} end   ` +
    `${paint(90, glyphs.nothing)} metadata or unused\n`
  );
}

/** The step of a scale that `position`, from 0 to 1, is on. */
function step<T>(scale: ArrayLike<T>, position: number): T {
  return scale[Math.min(scale.length - 1, Math.floor(position * scale.length))] as T;
}

interface Cell {
  readonly glyph: string;
  readonly colour: number;
}

/** In lines of `width`; neighbours of one colour are painted together. */
function rows(cells: readonly Cell[], width: number, paint: Paint): string {
  let text = "";
  for (let start = 0; start < cells.length; start += width) {
    const row = cells.slice(start, start + width);
    for (const [from, to, colour] of runsOf(row.length, (at) => row[at]?.colour ?? 0)) {
      const run = row.slice(from, to).map(({ glyph }) => glyph);
      text += paint(colour, run.join(""));
    }
    text += "\n";
  }
  return text;
}
