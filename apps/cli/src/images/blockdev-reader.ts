import { CommandError } from "../errors/command-error.ts";
import { parseSize } from "../values/parse-size.ts";
import type { BlockdevOptions, OptionValue } from "./blockdev-options.ts";

/** Takes options out of a set one by one, so that what nobody asked for can be refused. */
export class BlockdevReader {
  readonly #left: Map<string, OptionValue>;

  constructor(options: BlockdevOptions) {
    this.#left = new Map(options);
  }

  /** What nobody has asked for yet. */
  get left(): readonly string[] {
    return [...this.#left.keys()];
  }

  /** The option's value; `undefined`: not given. */
  take(key: string): OptionValue | undefined {
    const value = this.#left.get(key);
    this.#left.delete(key);
    return value;
  }

  /** Whether any option begins with `prefix`. */
  hasUnder(prefix: string): boolean {
    return this.left.some((key) => key.startsWith(prefix));
  }

  /** Takes all options that begin with `prefix`; their keys come without it. */
  takeUnder(prefix: string): BlockdevOptions {
    const taken = new Map<string, OptionValue>();
    for (const key of this.left.filter((each) => each.startsWith(prefix))) {
      taken.set(key.slice(prefix.length), this.take(key) ?? null);
    }
    return taken;
  }

  /** Those of the options that are there, as they were given, without taking them. */
  given(...keys: readonly string[]): Readonly<Record<string, OptionValue>> {
    return Object.fromEntries([...this.#left].filter(([key]) => keys.includes(key)));
  }

  string(key: string): string | undefined {
    const value = this.take(key);
    if (value !== undefined && typeof value !== "string") {
      throw new CommandError(`Invalid parameter type for '${key}', expected: string`);
    }
    return value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.take(key);
    switch (value) {
      case undefined:
        return undefined;
      case true:
      case "on":
      case "yes":
      case "true":
      case "y":
        return true;
      case false:
      case "off":
      case "no":
      case "false":
      case "n":
        return false;
      default:
        throw new CommandError(`Parameter '${key}' expects 'on' or 'off'`);
    }
  }

  size(key: string): number | undefined {
    const value = this.take(key);
    if (value === undefined) {
      return undefined;
    }
    const size = typeof value === "string" ? parseSize(value) : value;
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
      throw new CommandError(`Parameter '${key}' expects a size`);
    }
    return size;
  }
}
