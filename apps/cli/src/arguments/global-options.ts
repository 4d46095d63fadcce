import { plugin, trace } from "../verbs/common-options.ts";
import type { OptionDefinition } from "./option-definition.ts";
import { optionKey } from "./option-definition.ts";
import { UsageError } from "./usage-error.ts";

/** The options with a value that may stand before the verb. */
const globals = [plugin, trace];

/** What stands before the verb, and the rest. */
export interface GlobalArguments {
  /** What `--plugin` names. */
  readonly plugins: readonly string[];
  /** What `--trace` asks for. */
  readonly traces: readonly string[];
  /** The verb and what follows it. */
  readonly rest: readonly string[];
}

/**
 * Takes off what stands before the verb.
 * @throws UsageError for an option without its value
 */
export function takeGlobalOptions(args: readonly string[]): GlobalArguments {
  const found = new Map<OptionDefinition, string[]>(globals.map((option) => [option, []]));
  const rest = [...args];
  for (let taken = take(rest); taken !== undefined; taken = take(rest)) {
    found.get(taken.option)?.push(taken.value);
  }
  return { plugins: found.get(plugin) ?? [], traces: found.get(trace) ?? [], rest };
}

/** Takes one off `rest`, if one comes first. */
function take(rest: string[]): { readonly option: OptionDefinition; readonly value: string } | undefined {
  const [word = "", next] = rest;
  for (const option of globals) {
    const name = `--${optionKey(option)}`;
    const letter = option.short === undefined ? undefined : `-${option.short}`;
    if (word === name || word === letter) {
      if (next === undefined) {
        throw new UsageError(`missing argument for option '${word}'`);
      }
      rest.splice(0, 2);
      return { option, value: next };
    }
    const inside = [`${name}=`, ...(letter === undefined ? [] : [letter])].find((start) => word.startsWith(start));
    if (inside !== undefined) {
      rest.shift();
      return { option, value: word.slice(inside.length) };
    }
  }
  return undefined;
}
