import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { requireSize } from "./parse-size.ts";

/** One thing to do with the bitmap. */
export type BitmapAction =
  | { readonly kind: "add" | "remove" | "clear" | "enable" | "disable" }
  | { readonly kind: "merge"; readonly source: string };

/** What the command line of `bitmap` asks for. */
export interface BitmapRequest {
  readonly filename: string;
  readonly bitmap: string;
  /** In the order in which they are given. */
  readonly actions: readonly BitmapAction[];
  /** Bytes; 0: the default. */
  readonly granularity: number;
  /** The file that bitmaps are merged from, unless it is the one that is changed. */
  readonly source: string | undefined;
  readonly sourceFormat: string | undefined;
}

const plainActions = ["add", "remove", "clear", "enable", "disable"] as const;

/**
 * Checks what can be checked before any image is opened.
 * @throws CommandError in qemu-img's words
 */
export function bitmapRequest(args: ParsedArguments): BitmapRequest {
  const granularity = requireSize(args.value("g") ?? "0", "granularity");
  const actions = args.given.flatMap(({ key, value }) => actionOf(key, value));
  const [source, sourceFormat] = [args.value("b"), args.value("F")];
  if (actions.length === 0) {
    throw new CommandError("Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
  }
  const [filename, bitmap, more] = args.operands;
  if (filename === undefined || bitmap === undefined || more !== undefined) {
    throw new CommandError("Expecting filename and bitmap name");
  }
  const conflicts: readonly (readonly [boolean, string])[] = [
    [granularity !== 0 && !args.has("add"), "granularity only supported with --add"],
    [sourceFormat !== undefined && source === undefined, "-F only supported with -b"],
    [source !== undefined && !args.has("merge"), "Merge bitmap source file only supported with --merge"],
  ];
  for (const [conflict, message] of conflicts) {
    if (conflict) {
      throw new CommandError(message);
    }
  }
  return { filename, bitmap, actions, granularity, source, sourceFormat };
}

function actionOf(key: string, value: string): BitmapAction[] {
  if (key === "merge") {
    return [{ kind: "merge", source: value }];
  }
  return plainActions.filter((kind) => kind === key).map((kind) => ({ kind }));
}
