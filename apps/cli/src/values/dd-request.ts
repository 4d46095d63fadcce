import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { sizeIn } from "./number-in.ts";

/** What the command line of `dd` asks for. */
export interface DdRequest {
  readonly input: string;
  readonly output: string;
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks; may be larger than what can be handled exactly. */
  readonly count: number | undefined;
  /** Blocks; may be larger than what can be handled exactly. */
  readonly skip: number;
}

/** @throws CommandError in qemu-img's words */
export function ddRequest(args: ParsedArguments): DdRequest {
  const values = new Map<string, string>();
  let blockSize = 512;
  let count: number | undefined;
  let skip = 0;
  for (const operand of args.operands) {
    const [name, value] = split(operand);
    // each is looked at in its turn, although only the last of several counts
    switch (name) {
      case "bs":
        blockSize = sizeIn(value, { what: "bs", least: 1, most: 2 ** 31 - 1 });
        break;
      case "count":
        count = sizeIn(value, { what: "count", least: 0 });
        break;
      case "skip":
        skip = sizeIn(value, { what: "skip", least: 0 });
        break;
      case "if":
      case "of":
        values.set(name, value);
        break;
      default:
        throw new CommandError(`unrecognized operand ${name}`);
    }
  }
  const [input, output] = [values.get("if"), values.get("of")];
  if (input === undefined || output === undefined) {
    throw new CommandError("Must specify both input and output files");
  }
  return { input, output, blockSize, count, skip };
}

function split(operand: string): readonly [name: string, value: string] {
  const equals = operand.indexOf("=");
  if (equals < 0) {
    throw new CommandError(`unrecognized operand ${operand}`);
  }
  return [operand.slice(0, equals), operand.slice(equals + 1)];
}
