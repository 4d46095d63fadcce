import { parseArgs } from "node:util";
import { tmpdir } from "node:os";

/** What the command line of the benchmark says. */
export interface BenchOptions {
  /** Size of the disks, in MiB. */
  readonly size: number;
  /** Runs of each program, at least 1. */
  readonly rounds: number;
  /** Only cases whose names contain one of these. */
  readonly only: readonly string[];
  readonly json: boolean;
  /** Where the images are made. */
  readonly directory: string;
}

export const usage = `usage: npm run bench -- [options]

Times this project's programs and the installed QEMU's, by turns, and prints medians and their ratio.

  --size MIB     size of the disks (default 1024)
  --rounds N     runs of each (default 5)
  --only TEXT    only cases whose name contains TEXT; may be repeated
  --dir PATH     where to make the images (default: the directory for temporary files)
  --json         print JSON
`;

/** @throws TypeError or RangeError for what isn't an option */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: "string", default: "1024" },
      rounds: { type: "string", default: "5" },
      only: { type: "string", multiple: true, default: [] },
      dir: { type: "string", default: tmpdir() },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    return undefined;
  }
  return {
    size: positive("size", values.size),
    rounds: positive("rounds", values.rounds),
    only: values.only,
    json: values.json,
    directory: values.dir,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`--${name} ${text}: expected an integer of at least 1`);
  }
  return value;
}
