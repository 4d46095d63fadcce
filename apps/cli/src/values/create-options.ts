import { suggestion } from "../arguments/nearest.ts";
import { CommandError } from "../errors/command-error.ts";
import { createOptionsOf, type CreateOption } from "./create-option-table.ts";
import { parseKeyValues } from "./key-values.ts";
import { parseSize } from "./parse-size.ts";

/** The values of `-o`, by name; of several for one name, the last. */
export type CreateOptionValues = ReadonlyMap<string, string | number | boolean>;

/** Whether `-o` asks what can be asked for. */
export function asksForHelp(texts: readonly string[]): boolean {
  return texts.some((text) =>
    parseKeyValues(text).some(({ key, value }) => value === undefined && /^(?:help|\?)$/.test(key)),
  );
}

/**
 * What all `-o` together say about an image of `format`.
 * @param namesFormat - whether a further line of the error names the format, as it does for some verbs
 * @throws CommandError in qemu-img's words
 */
export function parseCreateOptions(texts: readonly string[], format: string, namesFormat = true): CreateOptionValues {
  const values = new Map<string, string | number | boolean>();
  const more = namesFormat ? `\nInvalid options for file format '${format}'` : "";
  for (const text of texts) {
    checkOptionList(text);
    for (const { key, value } of parseKeyValues(text)) {
      const option = createOptionsOf(format).find(({ name }) => name === key);
      if (option === undefined) {
        const names = createOptionsOf(format).map(({ name }) => name);
        throw new CommandError(`Invalid parameter '${key}'${more}`, suggestion(key, names));
      }
      values.set(key, parseValue(option, value ?? "on", more));
    }
  }
  return values;
}

/** @throws CommandError when the list begins or ends with a comma that separates nothing */
export function checkOptionList(text: string): void {
  const commas = /^(,*).*?(,*)$/s.exec(text);
  const isOdd = (part: string | undefined): boolean => (part?.length ?? 0) % 2 === 1;
  if (text === "" || isOdd(commas?.[1]) || isOdd(commas?.[2])) {
    throw new CommandError(`Invalid option list: ${text}`);
  }
}

/**
 * The value of one option.
 * @param more - follows the error
 * @throws CommandError in qemu-img's words
 */
export function parseValue({ name, type }: CreateOption, text: string, more: string): string | number | boolean {
  const refuse = (expected: string): never => {
    throw new CommandError(`Parameter '${name}' expects ${expected}${more}`);
  };
  switch (type) {
    case "str":
      return text;
    case "bool":
      if (text === "on" || text === "off") {
        return text === "on";
      }
      return refuse("'on' or 'off'");
    case "size": {
      const size = parseSize(text);
      return typeof size === "number" ? size : refuse("a non-negative number below 2^64");
    }
    case "number":
      return /^[0-9]+$/.test(text) ? Number(text) : refuse("a number");
  }
}
