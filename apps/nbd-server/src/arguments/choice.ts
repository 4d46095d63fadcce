import { CommandError, integerIn, type ParsedArguments } from "@img/cli";

/**
 * The value of an option that takes one of a few words.
 * @throws CommandError naming the words
 */
export function choice<T extends string>(args: ParsedArguments, option: string, words: readonly T[], byDefault: T): T {
  const value = args.value(option) ?? byDefault;
  const found = words.find((word) => word === value);
  if (found === undefined) {
    throw new CommandError(`Invalid ${option} mode '${value}': expected ${words.join(", ")}`);
  }
  return found;
}

/**
 * An option's value as a whole number.
 * @throws CommandError when it is none, or not in the range
 */
export function count(
  args: ParsedArguments,
  option: string,
  byDefault: number,
  least = 0,
  most: number = 2 ** 31 - 1,
): number {
  const value = args.value(option);
  return value === undefined ? byDefault : integerIn(value, { what: option, least, most });
}

/** An option's value in seconds, fractions allowed, as milliseconds. @throws CommandError when it is none */
export function seconds(args: ParsedArguments, option: string, byDefault: number): number {
  const value = args.value(option);
  if (value === undefined) {
    return byDefault * 1000;
  }
  if (!/^\d+(\.\d+)?$/.test(value) || Number(value) * 1000 > 2 ** 31 - 1) {
    throw new CommandError(`Invalid ${option} '${value}': expected seconds`);
  }
  return Number(value) * 1000;
}

/** `on` and `off` in a list of `key=value`. @throws CommandError for something else */
export function onOff(key: string, value: string | undefined): boolean {
  switch (value) {
    case undefined:
    case "on":
    case "yes":
    case "true":
      return true;
    case "off":
    case "no":
    case "false":
      return false;
    default:
      throw new CommandError(`Parameter '${key}' expects 'on' or 'off'`);
  }
}
