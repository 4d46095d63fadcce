import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./root.ts";
import { profileSettings, type Profile } from "./run/profile.ts";

/** What is to be measured, and how. */
export interface BenchOptions {
  readonly kind: "bench";
  readonly profile: Profile;
  /** Size of the disks, MiB, a multiple of 8. */
  readonly size: number;
  /** Runs of each program, at least; 0: each once, only to see that it works. */
  readonly rounds: number;
  /** Seconds that the runs of one case take together, at least. */
  readonly seconds: number;
  /** Only cases with one of these in the name, or in that of the group. */
  readonly only: readonly string[];
  /** Instead of the profile's cases: those that bare programs stand beside, and these. */
  readonly limits: boolean;
  /** Name the cases, and measure none. */
  readonly list: boolean;
  /** Where the images are made. */
  readonly directory: string;
  /** The file that gets the report, or none. */
  readonly json: string | undefined;
  /** The report of an earlier run, to be put beside this one. */
  readonly compareWith: string | undefined;
}

/** What the command line of the benchmark asks for. */
export type Task =
  | BenchOptions
  | { readonly kind: "micro"; readonly only: readonly string[] }
  | { readonly kind: "compare"; readonly reports: readonly [string, string] }
  | { readonly kind: "write-page"; readonly reports: readonly [string, ...string[]] }
  | { readonly kind: "help" };

/** What `--help` prints. */
export const usage = `usage: npm run bench -- [options]

Times this project's programs and the installed QEMU's, by turns, and prints medians and their ratios. All inputs are generated, and removed
at the end. What is converted is compared with its source by qemu-img, once for each case.

  --quick          only what has a target, small disks
  --full           everything, large disks
  --limits         what limits ours: programs that do the least that Node has to do for it, against QEMU's, and ours again
  --size MIB       size of the disks, a multiple of 8 (default ${String(profileSettings.default.size)}; quick ${String(profileSettings.quick.size)}, full ${String(profileSettings.full.size)})
  --rounds N       runs of each, at least (default ${String(profileSettings.default.rounds)}; full ${String(profileSettings.full.rounds)})
  --seconds N      more runs, up to five times as many, until those of a case have taken so long
  --only TEXT      only cases with TEXT in their name or that of their group; may be repeated
  --list           name the cases
  --try            run each side of each case once, check what they make, and measure nothing
  --dir PATH       where to make the images (default: the directory for temporary files)
  --json FILE      write all figures and the machine to FILE, too
  --compare FILE   put an earlier report beside this one
  --micro          parts of each package by themselves, without QEMU's; only --only goes with it

  --compare OLD NEW         two reports beside each other: how stable the ratios are
  --write-page REPORT...    put one report, or two of the same machine, into docs/performance.md, and one of --limits beside them

Files are named relative to the project's root.
`;

/** @throws TypeError or RangeError for what isn't an option, or is no value of one */
export function parseOptions(args: readonly string[]): Task {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      limits: { type: "boolean", default: false },
      size: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      list: { type: "boolean", default: false },
      try: { type: "boolean", default: false },
      dir: { type: "string", default: tmpdir() },
      json: { type: "string" },
      compare: { type: "string" },
      micro: { type: "boolean", default: false },
      "write-page": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    return { kind: "help" };
  }
  const [first, ...rest] = positionals.map(inRoot);
  const [second] = rest;
  if (values["write-page"]) {
    if (first === undefined || rest.length > 2) {
      throw new TypeError("--write-page: expected one report to three");
    }
    return { kind: "write-page", reports: [first, ...rest] };
  }
  if (values.compare !== undefined && first !== undefined && second === undefined) {
    return { kind: "compare", reports: [inRoot(values.compare), first] };
  }
  if (first !== undefined) {
    throw new TypeError(`unexpected argument ${positionals[0] ?? ""}`);
  }
  return values.micro ? { kind: "micro", only: values.only } : benchOptions(values);
}

interface Values {
  readonly quick: boolean;
  readonly full: boolean;
  readonly limits: boolean;
  readonly size?: string | undefined;
  readonly rounds?: string | undefined;
  readonly seconds?: string | undefined;
  readonly only: string[];
  readonly list: boolean;
  readonly try: boolean;
  readonly dir: string;
  readonly json?: string | undefined;
  readonly compare?: string | undefined;
}

function benchOptions(values: Values): BenchOptions {
  if (values.quick && values.full) {
    throw new TypeError("--quick and --full exclude each other");
  }
  const profile = values.quick ? "quick" : values.full ? "full" : "default";
  const settings = profileSettings[profile];
  const size = integer("size", values.size, settings.size);
  if (size % 8 !== 0) {
    throw new RangeError(`--size ${String(size)}: expected a multiple of 8`);
  }
  return {
    kind: "bench",
    profile,
    size,
    rounds: values.try ? 0 : integer("rounds", values.rounds, settings.rounds),
    seconds: values.seconds === undefined ? settings.seconds : positive("seconds", values.seconds),
    only: values.only,
    limits: values.limits,
    list: values.list,
    directory: inRoot(values.dir),
    json: values.json === undefined ? undefined : inRoot(values.json),
    compareWith: values.compare === undefined ? undefined : inRoot(values.compare),
  };
}

function inRoot(path: string): string {
  return resolve(root, path);
}

function integer(name: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`--${name} ${text ?? ""}: expected an integer of at least 1`);
  }
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0 || text.trim() === "") {
    throw new RangeError(`--${name} ${text}: expected a number of at least 0`);
  }
  return value;
}
