import { cpSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "../root.ts";
import type { Run } from "./measurement.ts";
import { runProgram } from "./run-program.ts";

/** Words of a command line, made when it is run. */
export type Words = () => readonly string[];

/** The programs that do the least of what ours do. */
const bareNames = ["copy", "recode", "change-file", "requests", "serve"] as const;

/** One of the programs with nothing of ours. */
export type BareName = (typeof bareNames)[number];

/** The programs that are compared. */
export class Programs {
  readonly #img: string;
  /** `[]`, or a command that the others are given to. */
  readonly #before: readonly string[];

  private constructor(img: string, before: readonly string[]) {
    this.#img = img;
    this.#before = before;
  }

  /**
   * Copies our programs into `directory`, the parts of the benchmark that run by themselves beside the command line: what is measured stays the
   * same although somebody may be building it anew.
   */
  static copy(directory: string): Programs {
    const program = join(root, "apps", "cli");
    cpSync(join(program, "dist"), join(directory, "dist"), { recursive: true });
    cpSync(join(program, "package.json"), join(directory, "package.json"));
    for (const child of ["serve", "requests"]) {
      cpSync(fileURLToPath(new URL(`${child}.js`, import.meta.url)), join(directory, "dist", `${child}.mjs`));
    }
    for (const bare of bareNames) {
      const file = `bare-${bare}.cjs`;
      cpSync(fileURLToPath(new URL(file, import.meta.url)), join(directory, "dist", file));
    }
    // the native helper isn't part of the program
    symlinkSync(join(program, "node_modules"), join(directory, "node_modules"));
    return new Programs(join(directory, "dist", "img.js"), []);
  }

  /** The same on the first processor only. */
  get onOneCore(): Programs {
    return new Programs(this.#img, ["taskset", "-c", "0"]);
  }

  /** The path of a part of the benchmark that runs by itself. */
  child(name: "serve" | "requests"): string {
    return join(this.#img, "..", `${name}.mjs`);
  }

  /** The path of a program with nothing of ours. */
  bareProgram(name: BareName): string {
    return join(this.#img, "..", `bare-${name}.cjs`);
  }

  /** Runs a program with nothing of ours. */
  bare(name: BareName, words: Words): Run {
    return this.#run(() => [process.execPath, this.bareProgram(name), ...words()]);
  }

  /** Runs `img`. */
  img(words: Words): Run {
    return this.#run(() => this.imgCommand(words()));
  }

  /** Runs `qemu-img`. */
  qemuImg(words: Words): Run {
    return this.#run(() => ["qemu-img", ...words()]);
  }

  /** Runs Node with nothing to do: what every program of ours takes at least. */
  get bareNode(): Run {
    return this.#run(() => [process.execPath, "-e", "0"]);
  }

  /** Runs a line of shell whose pipes fail if one of their parts does; `$@` are `words`. */
  shell(line: string, words: Words): Run {
    return this.#run(() => ["bash", "-o", "pipefail", "-c", line, "bash", ...words()]);
  }

  /** The words that run `img` with these ones. */
  imgCommand(words: readonly string[]): readonly string[] {
    return [process.execPath, this.#img, ...words];
  }

  /** Whether a verb's help has this text: for what only some versions can do. */
  helps(verb: string, text: string): boolean {
    return runProgram(process.execPath, [this.#img, verb, "--help"], { capture: true }).output.includes(text);
  }

  #run(command: () => readonly string[]): Run {
    return (warmUp) => {
      const [file = "", ...args] = [...this.#before, ...command()];
      return runProgram(file, args, { memory: warmUp });
    };
  }
}
