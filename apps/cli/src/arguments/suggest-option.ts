import type { OptionDefinition } from "./option-definition.ts";
import { nearest } from "./nearest.ts";

/**
 * What an option that there isn't may have been meant to be: a long name that is nearly the same, one that lacks a dash, or the other case of a letter.
 *
 * @param arg - the word as it was typed, for example `--otput=json`, `-output` or `-F`
 * @returns an error's options with the hint; empty when nothing is near
 */
export function suggestOption(arg: string, options: readonly OptionDefinition[]): { readonly hint?: string } {
  const shown = options.filter(({ hidden }) => hidden !== true);
  const name = arg.replace(/^--?/, "").replace(/=.*$/s, "");
  const isLong = arg.startsWith("--") || name.length > 2;
  const names = shown.flatMap(({ long }) => (long === undefined ? [] : [long]));
  const found = isLong ? nearest(name, names) : undefined;
  if (found !== undefined) {
    return { hint: `Did you mean '--${found}'?` };
  }
  const letters = shown.flatMap(({ short }) => (short === undefined ? [] : [short]));
  const letter = letters.find((each) => each.toLowerCase() === name.toLowerCase() && each !== name);
  return letter === undefined ? {} : { hint: `Did you mean '-${letter}'?` };
}
