import { rmSync } from "node:fs";
import type { Images } from "../input/images.ts";
import type { Case } from "../run/measurement.ts";
import type { Profile } from "../run/profile.ts";
import type { Programs } from "../run/programs.ts";
import { runProgram } from "../run/run-program.ts";

type Format = "raw" | "qcow2";

/** What is converted, and into what. */
interface Conversion {
  readonly name: string;
  readonly target: number;
  readonly profile: Profile;
  readonly from: Format;
  readonly source: () => string;
  readonly to: Format;
  /** Options of the target, for both. */
  readonly both?: readonly string[];
  /** Options of QEMU's alone. */
  readonly theirs?: readonly string[];
}

const group = "convert";
const outOfOrder = ["-W", "-m", "16"];

/**
 * Conversions: the whole command, its start and end included. `-t unsafe` is what `qemu-img` does with a new target unless told otherwise: it
 * leaves it to the host when the disk has it. Ours waits for the disk unless told otherwise, so the plain commands do different things.
 */
export function conversionCases(images: Images, programs: Programs): Case[] {
  // on large ones, the start of a program hardly counts
  const large = plainConversions(images.larger)
    .filter(({ profile }) => profile === "quick")
    .map((each) => ({ ...each, name: `${each.name}, large disk` }));
  const plain = [...large, ...plainConversions(images).map((each) => ({ ...each, profile: atLeastDefault(each) }))];
  return [
    ...plain.map((each) => conversion(images, programs, each)),
    ...plain.map((each) =>
      conversion(images, programs, {
        ...each,
        name: `${each.name}, -t unsafe`,
        both: [...(each.both ?? []), "-t", "unsafe"],
      }),
    ),
    ...large.map((each) =>
      conversion(images, programs, {
        ...each,
        name: `${each.name}, -t writeback`,
        profile: "default",
        both: [...(each.both ?? []), "-t", "writeback"],
      }),
    ),
    ...decompressions(images).flatMap((each) => inBothOrders(images, programs, each)),
    ...compressions(images).flatMap((each) => inBothOrders(images, programs, each)),
  ];
}

function atLeastDefault({ profile }: Conversion): Profile {
  return profile === "full" ? "full" : "default";
}

/** Without compression on either side. */
function plainConversions(images: Images): Conversion[] {
  const of = (name: string, profile: Profile, from: Format, source: () => string, to: Format): Conversion => ({
    name: `convert ${name}`,
    profile,
    target: 1,
    from,
    source,
    to,
  });
  const into = (clusterSize: string): Conversion => ({
    ...of(`raw to qcow2, clusters of ${clusterSize}`, "default", "raw", () => images.raw(), "qcow2"),
    both: ["-o", `cluster_size=${clusterSize}`],
  });
  return [
    of("raw with holes to raw", "quick", "raw", () => images.raw(), "raw"),
    of("raw with holes to qcow2", "quick", "raw", () => images.raw(), "qcow2"),
    of("qcow2 to raw", "quick", "qcow2", () => images.qcow2("plain"), "raw"),
    of("qcow2 to qcow2", "quick", "qcow2", () => images.qcow2("plain"), "qcow2"),
    of("nearly empty raw to raw", "quick", "raw", () => images.raw("sparse"), "raw"),
    of("nearly empty qcow2 to qcow2", "default", "qcow2", () => images.qcow2("sparse"), "qcow2"),
    of("random raw without holes to qcow2", "default", "raw", () => images.raw("full"), "qcow2"),
    of("random qcow2 without holes to raw", "default", "qcow2", () => images.qcow2("full"), "raw"),
    of("raw of installed files to qcow2", "default", "raw", () => images.raw("files"), "qcow2"),
    of("qcow2 of installed files to raw", "default", "qcow2", () => images.qcow2("files"), "raw"),
    of("fragmented qcow2 to raw", "default", "qcow2", () => images.fragmented(), "raw"),
    of("fragmented qcow2 to qcow2", "full", "qcow2", () => images.fragmented(), "qcow2"),
    of("chain of 3 to raw", "default", "qcow2", () => images.chain(), "raw"),
    of("chain of 3 to qcow2", "full", "qcow2", () => images.chain(), "qcow2"),
    of("qcow2 with clusters of 4 KiB to raw", "default", "qcow2", () => images.qcow2("clusters-4k"), "raw"),
    of("qcow2 with clusters of 2 MiB to raw", "default", "qcow2", () => images.qcow2("clusters-2m"), "raw"),
    into("4k"),
    into("2M"),
  ];
}

/** From compressed images; the time is spent in codecs, not on the disk. */
function decompressions(images: Images): (Conversion & { readonly inOrder: number; readonly anyOrder: number })[] {
  const zlib = { inOrder: 0.55, anyOrder: 0.65, target: 0.55 };
  const zstd = { inOrder: 1, anyOrder: 1, target: 1 };
  return [
    { ...zlib, ...named("zlib qcow2 to raw", "quick", "qcow2", () => images.qcow2("zlib"), "raw") },
    { ...zstd, ...named("zstd qcow2 to raw", "quick", "qcow2", () => images.qcow2("zstd"), "raw") },
    { ...zlib, ...named("zlib qcow2 of files to raw", "default", "qcow2", () => images.qcow2("files-zlib"), "raw") },
    { ...zstd, ...named("zstd qcow2 of files to raw", "default", "qcow2", () => images.qcow2("files-zstd"), "raw") },
    { ...zlib, ...named("zlib qcow2 to qcow2", "full", "qcow2", () => images.qcow2("zlib"), "qcow2") },
    { ...zstd, ...named("zstd qcow2 to qcow2", "full", "qcow2", () => images.qcow2("zstd"), "qcow2") },
  ];
}

function compressions(images: Images): (Conversion & { readonly inOrder: number; readonly anyOrder: number })[] {
  const zlib = { inOrder: 0.4, anyOrder: 0.6, target: 0.4, both: ["-c"] };
  const zstd = { inOrder: 0.8, anyOrder: 0.8, target: 0.8, both: ["-c", "-o", "compression_type=zstd"] };
  return [
    { ...zlib, ...named("raw to qcow2, -c", "quick", "raw", () => images.raw(), "qcow2") },
    { ...zstd, ...named("raw to qcow2, -c zstd", "quick", "raw", () => images.raw(), "qcow2") },
    { ...zlib, ...named("raw of installed files to qcow2, -c", "full", "raw", () => images.raw("files"), "qcow2") },
    {
      ...zstd,
      ...named("raw of installed files to qcow2, -c zstd", "default", "raw", () => images.raw("files"), "qcow2"),
    },
    { ...zlib, ...named("zlib qcow2 to qcow2, -c", "full", "qcow2", () => images.qcow2("zlib"), "qcow2") },
  ];
}

function named(
  name: string,
  profile: Profile,
  from: Format,
  source: () => string,
  to: Format,
): Omit<Conversion, "target"> {
  return { name: `convert ${name}`, profile, from, source, to };
}

/** Against QEMU's in order, as it is by default, and as fast as it gets on any number of cores. */
function inBothOrders(
  images: Images,
  programs: Programs,
  each: Conversion & { readonly inOrder: number; readonly anyOrder: number },
): Case[] {
  return [
    conversion(images, programs, { ...each, target: each.inOrder }),
    conversion(images, programs, {
      ...each,
      name: `${each.name} (QEMU: -W -m 16)`,
      target: each.anyOrder,
      theirs: outOfOrder,
    }),
  ];
}

function conversion(images: Images, programs: Programs, what: Conversion): Case {
  const output = images.path("output");
  const words =
    (extra: readonly string[]): (() => readonly string[]) =>
    () => ["convert", ...extra, ...(what.both ?? []), "-f", what.from, "-O", what.to, what.source(), output];
  return {
    group,
    name: what.name,
    profile: what.profile,
    target: what.target,
    ours: programs.img(words([])),
    theirs: programs.qemuImg(words(what.theirs ?? [])),
    verify: () => {
      checkCopy(what.from, what.source(), what.to, output);
    },
    after: () => {
      rmSync(output, { force: true });
    },
  };
}

/** @throws Error when QEMU's tools find that the output differs from the source, or isn't in order */
export function checkCopy(from: Format, source: string, to: Format, output: string): void {
  runProgram("qemu-img", ["compare", "-f", from, "-F", to, source, output]);
  if (to === "qcow2") {
    runProgram("qemu-img", ["check", "-q", "-f", "qcow2", output]);
  }
}
