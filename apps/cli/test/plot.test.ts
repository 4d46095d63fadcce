import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostOffset, MemoryStorage } from "@img/format-core";
import type { MapEntry } from "@img/operations";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DiskPlot } from "../src/plot/disk-plot.ts";
import { plotSvg } from "../src/plot/plot-svg.ts";
import { plotText } from "../src/plot/plot-text.ts";
import { Strip } from "../src/plot/strip.ts";
import { img, tool } from "./support/run-tool.ts";

const KiB = 1024;
const storage = new MemoryStorage(new Uint8Array(64 * KiB));
const plain = (_code: number, text: string): string => text;
const resolution = { diskCells: 16, fileCells: 16, grid: [16, 16] } as const;

/** An entry of the image itself, in units of 4 KiB. */
function entry(start: number, length: number, what: Partial<MapEntry>, at?: number): MapEntry {
  return {
    start: start * 4 * KiB,
    length: length * 4 * KiB,
    ...{ depth: 0, present: true, zero: false, data: true, compressed: false },
    ...(at === undefined ? {} : { offset: hostOffset(at * 4 * KiB), storage }),
    ...what,
  };
}

function plotOf(...entries: readonly MapEntry[]): DiskPlot {
  const plot = new DiskPlot(0, 64 * KiB, resolution);
  for (const each of entries) {
    plot.add(each);
  }
  return plot;
}

const mixed = plotOf(
  entry(0, 2, {}, 12),
  entry(2, 2, {}, 14),
  entry(4, 2, {}, 1),
  entry(6, 2, { compressed: true }),
  entry(8, 2, { depth: 1 }, 8),
  entry(10, 2, { data: false, zero: true }),
  entry(12, 4, { data: false, zero: true, present: false }),
);

describe("Strip", () => {
  it("shares what is added out among places", () => {
    const strip = new Strip(["a", "b"], 100, 1000, 4, 16);
    expect([strip.cellSize, strip.count]).toEqual([256, 4]);
    strip.add("a", 0, 400);
    strip.add("b", 300, 60, 0.5);
    strip.add("b", 1000, 1000);
    expect([0, 1, 2, 3].map((cell) => [strip.amount("a", cell), strip.amount("b", cell)])).toEqual([
      [256, 28],
      [44, 2],
      [0, 0],
      [0, 100],
    ]);
    expect([0, 1, 2, 3].map((cell) => strip.largest(["a", "b"], cell))).toEqual(["a", "a", undefined, "b"]);
  });

  it("has one place for nothing", () => {
    expect(new Strip(["a"], 0, 0, 10, 512).count).toBe(1);
  });
});

describe("DiskPlot", () => {
  it("counts bytes of each kind", () => {
    expect([...mixed.totals]).toEqual([
      ["data", 24 * KiB],
      ["compressed", 8 * KiB],
      ["below", 8 * KiB],
      ["zero", 8 * KiB],
      ["nothing", 16 * KiB],
    ]);
  });

  it("counts pieces: what goes on in the disk and in the file is one", () => {
    expect([mixed.runs, mixed.longestRun]).toEqual([2, 16 * KiB]);
    expect(plotOf(entry(0, 1, {}, 2), entry(1, 1, {}, 1), entry(2, 1, {}, 0)).runs).toBe(3);
    expect(plotOf(entry(0, 1, {}, 0), entry(2, 1, {}, 1)).runs).toBe(2);
  });

  it("looks at the image's own file alone", () => {
    expect(plotOf(entry(0, 4, { depth: 1 }, 0)).file).toBeUndefined();
  });
});

describe("the picture for a terminal", () => {
  it("shows what each place of the disk is, and which part of the disk each place of the file has", () => {
    expect(plotText(mixed, "a\u001b.qcow2", 8, plain)).toBe(
      [
        String.raw`a\x1b.qcow2`,
        "32 KiB (50.0%) in the image itself, 8 KiB (12.5%) below",
        "2 pieces, 12 KiB each on average, at most 16 KiB",
        "",
        "disk: 64 KiB, each place 4 KiB",
        "██████▓▓",
        "▒▒░░····",
        "█ data   ▓ compressed   ▒ in an image below   ░ zeroes   · nothing",
        "",
        "file: 64 KiB, each place 4 KiB",
        "·▃▃·····",
        "····▁▁▂▂",
        "where its data belong: ▁ beginning of the disk … █ end   · metadata or unused",
        "",
      ].join("\n"),
    );
  });

  it("rises steadily where the file is in order", () => {
    const text = plotText(plotOf(entry(0, 16, {}, 0)), "a", 16, plain);
    expect(text).toContain("\n▁▁▂▂▃▃▄▄▅▅▆▆▇▇██\n");
    expect(text).toContain("\n1 piece, 64 KiB each");
  });

  it("shows the least data among much of nothing", () => {
    const plot = new DiskPlot(0, 1024 * KiB, resolution);
    plot.add(entry(0, 255, { data: false, zero: true, present: false }));
    plot.add(entry(255, 1, {}, 0));
    expect(plotText(plot, "a", 16, plain)).toContain("\n···············█\n");
  });

  it("paints neighbours of one colour together", () => {
    const paint = (code: number, text: string): string => `<${String(code)}:${text}>`;
    expect(plotText(mixed, "a", 8, paint)).toContain("\n<32:██████><36:▓▓>\n<34:▒▒><33:░░><90:····>\n");
  });

  it("is made of a disk without a byte as well", () => {
    expect(plotText(new DiskPlot(0, 0, resolution), "a", 8, plain)).toContain("disk: 0 B");
  });
});

describe("the drawing", () => {
  it("is a document whose names are only names", () => {
    const svg = plotSvg(mixed, '<b>&"');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    expect(svg).toContain("&lt;b&gt;&amp;&quot;");
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("has a rectangle for each run of places, as wide as they are", () => {
    const [disk] = [...plotSvg(mixed, "a").matchAll(/<g shape-rendering="crispEdges">(.*?)<\/g>/g)].map(
      ([, each]) => each,
    );
    const found = [...(disk ?? "").matchAll(/x="([\d.]+)" y="120" width="([\d.]+)"/g)].map(([, x, width]) => [
      x,
      width,
    ]);
    expect(found).toEqual([
      ["40", "330"],
      ["370", "110"],
      ["480", "110"],
      ["590", "110"],
      ["700", "220"],
    ]);
  });

  it("draws where the data lie from the bottom of the file up", () => {
    const [, path = ""] = /<path d="([^"]*)"/.exec(plotSvg(mixed, "a")) ?? [];
    const squares = [...path.matchAll(/M([\d.]+) ([\d.]+)h([\d.]+)/g)].map(([, x, y, width]) => [
      (Number(x) - 40) / 55,
      Math.round((580 - Number(y)) / 15.625) - 1,
      Number(width) / 55,
    ]);
    expect(squares).toEqual([
      [4, 1, 1],
      [5, 2, 1],
      [0, 12, 1],
      [1, 13, 1],
      [2, 14, 1],
      [3, 15, 1],
    ]);
  });
});

describe("img map --plot", () => {
  const directory = mkdtempSync(join(tmpdir(), "img-plot-"));
  beforeAll(() => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", "1M"], directory);
    tool("qemu-io", ["-c", "write 0 64k", "-c", "write 512k 128k", "-c", "write -z 256k 64k", "a.qcow2"], directory);
    writeFileSync(join(directory, "empty.raw"), "");
  });
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  it("is as wide as it is told, and without colours when nobody watches", () => {
    const { stdout, code } = img(["map", "--plot", "a.qcow2"], directory, { COLUMNS: "32" });
    expect(code).toBe(0);
    expect(stdout).toContain("\ndisk: 1 MiB, each place 4 KiB\n");
    const rows = stdout.split("\n").filter((line) => /^[█░·]+$/.test(line));
    expect(rows.slice(0, 8).map((row) => row[0]! + row[15]! + row[16]! + row[31]!)).toEqual([
      "██··",
      "····",
      "░░··",
      "····",
      "████",
      "····",
      "····",
      "····",
    ]);
    expect(rows.every((row) => row.length <= 32)).toBe(true);
    expect(stdout).not.toContain("\u001b");
  });

  it("takes a part of the disk", () => {
    const { stdout } = img(["map", "--plot", "-s", "512k", "-l", "128k", "a.qcow2"], directory);
    expect(stdout).toContain("128 KiB (100.0%) in the image itself\n");
  });

  it("draws", () => {
    const { stdout, code } = img(["map", "--plot=svg", "a.qcow2"], directory);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  it("takes images without a byte", () => {
    expect(img(["map", "--plot", "-f", "raw", "empty.raw"], directory).code).toBe(0);
    expect(img(["map", "--plot=svg", "-f", "raw", "empty.raw"], directory).stdout).not.toContain("NaN");
  });

  it("refuses other pictures", () => {
    const { stderr, code } = img(["map", "--plot=png", "a.qcow2"], directory);
    expect(code).toBe(1);
    expect(stderr).toContain("--plot must be used with terminal or svg as argument, not 'png'");
  });
});
