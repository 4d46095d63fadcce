import { rmSync } from "node:fs";
import type { Images } from "../input/images.ts";
import type { Case, Run } from "../run/measurement.ts";
import type { Programs, Words } from "../run/programs.ts";
import { runProgram } from "../run/run-program.ts";
import { checkCopy } from "./conversions.ts";

const group = "convert to standard output";

/**
 * Conversions into a pipe. `qemu-img` can't: what it is compared with is its conversion into a file, and `cat`. There are none where the
 * program can't either.
 */
export function streamCases(images: Images, programs: Programs): Case[] {
  const copy = images.path("streamed");
  const remove = (): void => {
    rmSync(copy, { force: true });
  };
  const of = (name: string, from: "raw" | "qcow2", source: () => string, to: "raw" | "qcow2"): Case => {
    const words: Words = () => ["convert", "-f", from, "-O", to, source()];
    return {
      group,
      name: `convert ${name}, into a pipe (QEMU: into a file, and cat)`,
      profile: "default",
      ours: ours(programs, () => [...words(), "-"], "cat > /dev/null"),
      theirs: programs.shell('qemu-img "$@" && cat "${@: -1}" | cat > /dev/null', () => [...words(), copy]),
      verify: () => {
        const [file = "", ...args] = shellWords(programs, [...words(), "-"], `cat > ${copy}`);
        runProgram(file, args);
        checkCopy(from, source(), to, copy);
      },
      after: remove,
    };
  };
  if (!programs.helps("convert", "--length")) {
    return [];
  }
  return [
    of("qcow2 to raw", "qcow2", () => images.qcow2("plain"), "raw"),
    of("qcow2 to qcow2", "qcow2", () => images.qcow2("plain"), "qcow2"),
    of("raw to qcow2", "raw", () => images.raw(), "qcow2"),
    of("zlib qcow2 to raw", "qcow2", () => images.qcow2("zlib"), "raw"),
  ];
}

function ours(programs: Programs, words: Words, sink: string): Run {
  return programs.shell(`"$@" | ${sink}`, () => programs.imgCommand(words()));
}

function shellWords(programs: Programs, words: readonly string[], sink: string): readonly string[] {
  return ["bash", "-o", "pipefail", "-c", `"$@" | ${sink}`, "bash", ...programs.imgCommand(words)];
}
