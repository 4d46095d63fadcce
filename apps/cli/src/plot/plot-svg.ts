import { humanSize } from "../output/human-size.ts";
import type { DiskPlot, FilePlot } from "./disk-plot.ts";
import { extentKinds, kindNames, type ExtentKind } from "./extent-kind.ts";
import type { Grid } from "./grid.ts";
import { plotFacts } from "./plot-facts.ts";
import { runsOf } from "./runs-of.ts";

/** Columns and rows of the drawing of disk and file. */
export const svgGrid: readonly [columns: number, rows: number] = [480, 240];
/** Places of disk and file, at most. */
export const svgCells = 880;

const width = 960;
const margin = 40;
const inner = width - 2 * margin;
const colours: Readonly<Record<ExtentKind, string>> = {
  data: "#2f7d4f",
  compressed: "#1f8a9c",
  below: "#4a6fb5",
  zero: "#d9b44a",
  nothing: "#e4e4e4",
};

/** The same picture as a drawing, with one more part: where in the file each part of the disk lies. Sequential data are a line that rises. */
export function plotSvg(plot: DiskPlot, filename: string): string {
  const { disk, file } = plot;
  const shown = extentKinds.filter((kind) => (plot.totals.get(kind) ?? 0) > 0);
  const kinds = extentKinds.slice(0, -1);
  const parts = [
    text(margin, 34, filename, 'font-size="18" font-weight="bold"'),
    ...plotFacts(plot).map((fact, index) => text(margin, 56 + index * 18, fact)),
    text(margin, 112, `disk, ${humanSize(plot.length)}; each place ${humanSize(disk.cellSize)}`),
    bar(120, disk.count, (cell) => colours[disk.largest(kinds, cell) ?? "nothing"]),
    legend(shown, 182),
    ...(file === undefined ? [] : fileParts(file, plot.length)),
  ];
  const height = file === undefined ? 210 : 640;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" ` +
    `height="${String(height)}" font-family="sans-serif" font-size="13" fill="#222">\n` +
    `<rect width="100%" height="100%" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`
  );
}

function fileParts({ size, strip, grid }: FilePlot, diskLength: number): string[] {
  const colour = (cell: number): string => {
    const data = strip.amount("data", cell);
    return data === 0 ? colours.nothing : hue(strip.amount("position", cell) / data);
  };
  return [
    text(margin, 222, `file, ${humanSize(size)}; each place ${humanSize(strip.cellSize)}`),
    bar(230, strip.count, colour),
    scale(292),
    ...(grid === undefined ? [] : gridParts(grid, 330, diskLength, size)),
  ];
}

/** Equal places side by side; neighbours of one colour are one rectangle. */
function bar(y: number, count: number, colour: (cell: number) => string): string {
  const rectangles: string[] = [];
  for (const [from, to, fill] of runsOf(count, colour)) {
    const [left, right] = [margin + (from / count) * inner, margin + (to / count) * inner];
    rectangles.push(
      `<rect x="${number(left)}" y="${String(y)}" width="${number(right - left)}" height="40" fill="${fill}"/>`,
    );
  }
  return `<g shape-rendering="crispEdges">${rectangles.join("")}</g>`;
}

function legend(kinds: readonly ExtentKind[], y: number): string {
  return kinds
    .map((kind, index) => {
      const x = margin + index * 160;
      return (
        `<rect x="${String(x)}" y="${String(y - 11)}" width="12" height="12" fill="${colours[kind]}"/>` +
        text(x + 18, y, kindNames[kind])
      );
    })
    .join("");
}

/** What the colours of the file's places mean. */
function scale(y: number): string {
  const steps = Array.from({ length: 30 }, (_, step) => {
    const x = margin + 160 + step * 8;
    return `<rect x="${String(x)}" y="${String(y - 11)}" width="8" height="12" fill="${hue(step / 29)}"/>`;
  });
  return (
    `${text(margin, y, "beginning of the disk")}<g shape-rendering="crispEdges">${steps.join("")}</g>${text(margin + 412, y, "end")}` +
    `<rect x="${String(margin + 480)}" y="${String(y - 11)}" width="12" height="12" fill="${colours.nothing}"/>` +
    text(margin + 498, y, "metadata or unused")
  );
}

function gridParts(grid: Grid, y: number, diskLength: number, fileSize: number): string[] {
  const height = 250;
  const [column, row] = [inner / grid.columns, height / grid.rows];
  let path = "";
  for (let index = 0; index < grid.rows; index++) {
    for (const [from, length] of grid.runs(index)) {
      // the file begins at the bottom
      path += `M${number(margin + from * column)} ${number(y + height - (index + 1) * row)}h${number(length * column)}v${number(row)}h${number(-length * column)}z`;
    }
  }
  return [
    text(margin, y - 8, "where in the file (upwards) each part of the disk (to the right) lies"),
    `<rect x="${String(margin)}" y="${String(y)}" width="${String(inner)}" height="${String(height)}" fill="none" stroke="#999"/>`,
    `<path d="${path}" fill="${colours.data}"/>`,
    text(margin, y + height + 18, "0"),
    text(width - margin, y + height + 18, humanSize(diskLength), 'text-anchor="end"'),
    text(margin + 6, y + 16, humanSize(fileSize), 'fill="#777"'),
  ];
}

/** From blue at the beginning, 0, to red at the end, 1. */
function hue(position: number): string {
  return `hsl(${String(Math.round(240 - Math.min(1, Math.max(0, position)) * 240))},65%,50%)`;
}

function text(x: number, y: number, words: string, more = ""): string {
  return `<text x="${String(x)}" y="${String(y)}"${more === "" ? "" : ` ${more}`}>${escaped(words)}</text>`;
}

function number(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** XML has no place for most control characters, not even escaped. */
function escaped(words: string): string {
  const named: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return words.replaceAll(/[&<>"]/g, (character) => named[character] ?? character);
}
