import { rmSync } from "node:fs";
import type { Images } from "../images.ts";
import type { Case, Sample } from "../measurement.ts";
import { runProgram } from "../run-program.ts";

/** Runs our program. */
type Ours = (args: readonly string[]) => Sample;

function runImg(img: string): Ours {
  return (args) => runProgram(process.execPath, [img, ...args]);
}

function theirs(args: readonly string[]): Sample {
  return runProgram("qemu-img", args);
}

/** Ways to compress, and the targets against QEMU in order and out of order. */
const compressing = [
  { name: "-c", both: ["-c"], targets: [0.4, 0.6] },
  { name: "-c zstd", both: ["-c", "-o", "compression_type=zstd"], targets: [0.8, 0.8] },
] as const;

/** Conversions: the whole command, its start and end included. The target is removed first, outside of the time. */
export function conversionCases(images: Images, img: string): Case[] {
  const ours = runImg(img);
  const output = images.path("output");
  const convert = (
    name: string,
    target: number,
    source: () => string,
    format: string,
    extra: readonly string[] = [],
    both: readonly string[] = [],
  ): Case => {
    const args = ["-f", format, "-O", name.includes("to qcow2") ? "qcow2" : "raw", ...both];
    const fresh = (run: (args: readonly string[]) => Sample, more: readonly string[]): Sample => {
      const path = source();
      rmSync(output, { force: true });
      return run(["convert", ...more, ...args, path, output]);
    };
    return { name, target, ours: () => fresh(ours, []), theirs: () => fresh(theirs, extra) };
  };
  return [
    convert("convert qcow2 to raw", 1, () => images.qcow2("plain"), "qcow2"),
    convert("convert sparse raw to raw", 1, () => images.raw(), "raw"),
    convert("convert raw to qcow2", 1, () => images.raw(), "raw"),
    ...compressing.flatMap(({ name, both, targets }) => [
      convert(`convert raw to qcow2, ${name}`, targets[0], () => images.raw(), "raw", [], both),
      convert(
        `convert raw to qcow2, ${name} (QEMU: -W -m 16)`,
        targets[1],
        () => images.raw(),
        "raw",
        ["-W", "-m", "16"],
        both,
      ),
    ]),
    convert("convert zlib qcow2 to raw", 0.55, () => images.qcow2("zlib"), "qcow2"),
    convert("convert zlib qcow2 to raw (QEMU: -W -m 16)", 0.65, () => images.qcow2("zlib"), "qcow2", [
      "-W",
      "-m",
      "16",
    ]),
    convert("convert zstd qcow2 to raw", 1, () => images.qcow2("zstd"), "qcow2"),
    convert("convert zstd qcow2 to raw (QEMU: -W -m 16)", 1, () => images.qcow2("zstd"), "qcow2", ["-W", "-m", "16"]),
  ];
}

/** Bytes of the image whose tables are large. */
const tiB = 1024 ** 4;

/** Commands that read tables, and the start of Node that is in all of ours. */
export function commandCases(images: Images, img: string): Case[] {
  const ours = runImg(img);
  const both = (name: string, target: number | undefined, args: () => string[]): Case => ({
    name,
    ...(target === undefined ? {} : { target }),
    ours: () => ours(args()),
    theirs: () => theirs(args()),
  });
  return [
    {
      name: "img info (against node -e 0)",
      target: 1.4,
      ours: () => ours(["info", images.qcow2("plain")]),
      theirs: () => runProgram(process.execPath, ["-e", "0"]),
    },
    both("img info (against qemu-img)", undefined, () => ["info", images.qcow2("plain")]),
    both("compare qcow2 with raw", undefined, () => [
      ...["compare", "-f", "qcow2", "-F", "raw"],
      ...[images.qcow2("plain"), images.raw()],
    ]),
    both("create qcow2 of 1 TiB", undefined, () => ["create", "-q", "-f", "qcow2", images.path("created.qcow2"), "1T"]),
    resizeCase(images, ours),
    both("map 1 TiB with all its tables", undefined, () => ["map", "--output=json", images.preallocated(tiB)]),
    both("check 1 TiB with all its tables", undefined, () => ["check", images.preallocated(tiB)]),
  ];
}

/** The image grows by 1 TiB: its L1 table moves. It is made anew for each run, outside of the time. */
function resizeCase(images: Images, ours: Ours): Case {
  const path = images.path("resized.qcow2");
  const resize = (run: (args: readonly string[]) => Sample): Sample => {
    runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, "1G"]);
    return run(["resize", "-q", "-f", "qcow2", path, "+1T"]);
  };
  return { name: "resize qcow2 from 1 GiB by 1 TiB", ours: () => resize(ours), theirs: () => resize(theirs) };
}
