import { CommandError } from "../errors/command-error.ts";
import type { KeyValue } from "../values/key-values.ts";

/** A value of an image's options: JSON, or a string where it comes from `key=value`. */
export type OptionValue = string | number | boolean | null;

/** An image's options as QEMU understands them: flat, `file.filename` for what JSON nests. */
export type BlockdevOptions = ReadonlyMap<string, OptionValue>;

/**
 * The options in `json:{…}`; nested objects become dotted keys.
 * @param text - what follows `json:`
 * @throws CommandError in qemu-img's words
 */
export function optionsFromJson(text: string): BlockdevOptions {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`Could not parse the JSON options: JSON parse error, ${reason}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CommandError("Invalid JSON object given");
  }
  const options = new Map<string, OptionValue>();
  flatten(value, "", options);
  return options;
}

function flatten(value: object, prefix: string, into: Map<string, OptionValue>): void {
  for (const [key, each] of Object.entries(value) as [string, unknown][]) {
    const name = prefix + key;
    if (typeof each === "object" && each !== null) {
      flatten(each, `${name}.`, into);
    } else if (into.has(name)) {
      throw new CommandError(`the option '${name}' is given twice`);
    } else {
      into.set(name, each as OptionValue);
    }
  }
}

/**
 * The options in `driver=…,file.filename=…`.
 * @throws CommandError in qemu-img's words
 */
export function optionsFromKeyValues(pairs: readonly KeyValue[]): BlockdevOptions {
  const options = new Map<string, OptionValue>();
  pairs.forEach(({ key, value }, index) => {
    if (value === undefined && index === 0) {
      throw new CommandError(`Cannot find device='${key}' nor node-name='${key}'`);
    }
    options.set(key, value ?? "on");
  });
  return options;
}
