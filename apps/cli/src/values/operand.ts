import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";

/** The one image that a verb is about. @throws UsageError in qemu-img's words */
export function oneOperand(args: ParsedArguments): string {
  const [name] = args.operands;
  if (name === undefined || args.operands.length > 1) {
    throw new UsageError("Expecting one image file name");
  }
  return name;
}

/** The two images that a verb is about. @throws UsageError in qemu-img's words */
export function twoOperands(args: ParsedArguments): readonly [string, string] {
  const [first, second] = args.operands;
  if (first === undefined || second === undefined || args.operands.length > 2) {
    throw new UsageError("Expecting two image file names");
  }
  return [first, second];
}
