import { optionKey, type OptionDefinition } from "./option-definition.ts";
import { ParsedArguments, type GivenOption } from "./parsed-arguments.ts";
import { suggestOption } from "./suggest-option.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Understands a command line the way GNU getopt does: options and operands in any order, `--long=value`, `--long value`, long names cut
 * short where that is unambiguous, `-fvalue`, `-f value`, letters in bundles, and `--` before operands that look like options.
 *
 * @throws UsageError for what is no option, and for an option without its value.
 */
export function parseArguments(args: readonly string[], options: readonly OptionDefinition[]): ParsedArguments {
  return new ArgumentParser(args, options).parse();
}

/**
 * {@link parseArguments} for verbs whose last word is an operand whatever it looks like, as in `resize disk.qcow2 -1G`. Only a request for help
 * that stands alone is one.
 *
 * @throws UsageError as {@link parseArguments}, and for less than two words
 */
export function parseBeforeLast(args: readonly string[], options: readonly OptionDefinition[]): ParsedArguments {
  const last = args.at(-1);
  if (args.length === 1 && (last === "--help" || last === "-h")) {
    return parseArguments(args, options);
  }
  if (last === undefined || args.length < 2) {
    throw new UsageError("Not enough arguments");
  }
  return parseArguments(args.slice(0, -1), options).with(last);
}

class ArgumentParser {
  readonly #rest: string[];
  readonly #options: readonly OptionDefinition[];
  readonly #operands: string[] = [];
  readonly #values = new Map<string, string[]>();
  readonly #given: GivenOption[] = [];

  constructor(args: readonly string[], options: readonly OptionDefinition[]) {
    this.#rest = [...args];
    this.#options = options;
  }

  parse(): ParsedArguments {
    for (let arg = this.#rest.shift(); arg !== undefined; arg = this.#rest.shift()) {
      if (arg === "--") {
        this.#operands.push(...this.#rest.splice(0));
      } else if (arg.startsWith("--")) {
        this.#long(arg);
      } else if (arg.startsWith("-") && arg !== "-") {
        this.#letters(arg);
      } else {
        this.#operands.push(arg);
      }
    }
    return new ParsedArguments(this.#operands, this.#values, undefined, this.#given);
  }

  #long(arg: string): void {
    const equals = arg.indexOf("=");
    const name = arg.slice(2, equals < 0 ? undefined : equals);
    const option = this.#findLong(name);
    if (option === undefined || (option.value === undefined && equals >= 0)) {
      throw this.#unrecognized(arg);
    }
    this.#add(option, equals < 0 ? this.#valueAfter(option, arg) : arg.slice(equals + 1));
  }

  #findLong(name: string): OptionDefinition | undefined {
    const exact = this.#options.find((option) => option.long === name);
    if (exact !== undefined) {
      return exact;
    }
    const matching = this.#options.filter(
      (option) => option.long?.startsWith(name) === true && option.unabbreviated !== true,
    );
    return matching.length === 1 ? matching[0] : undefined;
  }

  #letters(arg: string): void {
    for (let at = 1; at < arg.length; at++) {
      const option = this.#options.find(({ short }) => short === arg[at]);
      if (option === undefined) {
        throw this.#unrecognized(arg);
      }
      if (option.value !== undefined && option.optionalValue !== true && at + 1 < arg.length) {
        this.#add(option, arg.slice(at + 1));
        return;
      }
      this.#add(option, this.#valueAfter(option, arg));
    }
  }

  #valueAfter(option: OptionDefinition, arg: string): string {
    if (option.value === undefined || option.optionalValue === true) {
      return "";
    }
    const value = this.#rest.shift();
    if (value === undefined) {
      throw new UsageError(`missing argument for option '${arg}'`);
    }
    return value;
  }

  #unrecognized(arg: string): UsageError {
    return new UsageError(`unrecognized option '${arg}'`, suggestOption(arg, this.#options));
  }

  #add(option: OptionDefinition, value: string): void {
    const key = optionKey(option);
    this.#given.push({ key, value });
    const values = this.#values.get(key);
    if (values === undefined) {
      this.#values.set(key, [value]);
    } else {
      values.push(value);
    }
  }
}
