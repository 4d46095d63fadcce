import { rmSync } from "node:fs";
import type { Images } from "../input/images.ts";
import type { Case, Sides } from "../run/measurement.ts";
import type { Profile } from "../run/profile.ts";
import type { Programs, Words } from "../run/programs.ts";
import { runProgram } from "../run/run-program.ts";

const group = "commands";

/** Bytes of the image whose tables are large. */
const tiB = 2 ** 40;

/** Commands that read and change tables, and the start of Node that is in all of ours. */
export function commandCases(images: Images, programs: Programs): Case[] {
  return [...shortCommands(images, programs), ...longCommands(images, programs)];
}

/** What takes as long as a program takes to start: against Node alone, which is the target's measure, and against `qemu-img`. */
function shortCommands(images: Images, programs: Programs): Case[] {
  const both = (name: string, words: Words, more: Pick<Case, "after" | "verify"> = {}): Case[] => [
    {
      ...{ group, name: `${name} (against node -e 0)`, profile: "quick" },
      // that of `measure` isn't set
      ...(name.startsWith("measure") ? {} : { target: 1.4 }),
      ...{ ours: programs.img(words), theirs: programs.bareNode },
      ...more,
    },
    {
      ...{ group, name: `${name} (against qemu-img)`, profile: "default" },
      ...{ ours: programs.img(words), theirs: programs.qemuImg(words) },
      ...more,
    },
  ];
  const made = images.path("created.qcow2");
  const remove = { after: () => rmSync(made, { force: true }) };
  const overlay = (): string => images.emptyOverlay();
  return [
    ...both("info", () => ["info", images.qcow2("plain")]),
    ...both("create qcow2 of 1 TiB", () => ["create", "-q", "-f", "qcow2", made, "1T"], {
      ...remove,
      verify: () => {
        runProgram("qemu-img", ["check", "-q", made]);
      },
    }),
    ...both("rebase -u", () => ["rebase", "-u", "-f", "qcow2", "-b", images.qcow2("full"), "-F", "qcow2", overlay()]),
    ...both("measure of a qcow2", () => ["measure", "-O", "qcow2", "-f", "qcow2", images.qcow2("plain")]),
    resizeCase(images, programs),
  ];
}

/** What reads all tables, or all data: with the start of both programs taken off, and the whole command. */
function longCommands(images: Images, programs: Programs): Case[] {
  const startUp: Sides = { ours: programs.bareNode, theirs: programs.qemuImg(() => ["--version"]) };
  const both = (name: string, words: Words, smallest: Profile = "quick"): Case[] => {
    const sides = { group, ours: programs.img(words), theirs: programs.qemuImg(words) };
    // the target is for what is large: the rest takes no longer than code needs that runs for the first time
    const target = smallest === "quick" ? { target: 0.5 } : {};
    return [
      { ...sides, ...target, name: `${name}, start-up subtracted`, profile: smallest, startUp },
      { ...sides, name, profile: smallest === "quick" ? "default" : "full" },
    ];
  };
  const compare = (a: "raw" | "qcow2", first: () => string, b: "raw" | "qcow2", second: () => string): Words => {
    return () => ["compare", "-f", a, "-F", b, first(), second()];
  };
  return [
    ...both(
      "compare qcow2 with raw, large disk",
      compare(
        "qcow2",
        () => images.larger.qcow2("plain"),
        "raw",
        () => images.larger.raw(),
      ),
    ),
    ...both(
      "compare qcow2 with raw",
      compare(
        "qcow2",
        () => images.qcow2("full"),
        "raw",
        () => images.raw("full"),
      ),
      "default",
    ),
    ...both(
      "compare qcow2 of files with raw",
      compare(
        "qcow2",
        () => images.qcow2("files"),
        "raw",
        () => images.raw("files"),
      ),
      "default",
    ),
    ...both(
      "compare zlib qcow2 with raw",
      compare(
        "qcow2",
        () => images.qcow2("zlib"),
        "raw",
        () => images.raw(),
      ),
      "default",
    ),
    ...both("map 1 TiB with all its tables", () => ["map", "--output=json", images.preallocated(tiB)]),
    ...both("map a fragmented qcow2", () => ["map", "--output=json", images.fragmented()], "default"),
    ...both("check 1 TiB with all its tables", () => ["check", images.preallocated(tiB)]),
    ...both("check a fragmented qcow2", () => ["check", images.fragmented()], "default"),
    ...both("check a qcow2 with clusters of 4 KiB", () => ["check", images.qcow2("clusters-4k")], "default"),
  ];
}

/** The image grows by 1 TiB: its L1 table moves. It is made anew for each run, outside of the time. */
function resizeCase(images: Images, programs: Programs): Case {
  const path = images.path("resized.qcow2");
  const resize: Words = () => {
    runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, "1G"]);
    return ["resize", "-q", "-f", "qcow2", path, "+1T"];
  };
  return {
    group,
    name: "resize qcow2 from 1 GiB by 1 TiB",
    profile: "default",
    ours: programs.img(resize),
    theirs: programs.qemuImg(resize),
    verify: () => {
      runProgram("qemu-img", ["check", "-q", path]);
    },
    after: () => {
      rmSync(path, { force: true });
    },
  };
}
