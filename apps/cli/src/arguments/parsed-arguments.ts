import { noPlugins, type Plugins } from "../plugins/plugins.ts";

/** One option of a command line. */
export interface GivenOption {
  readonly key: string;
  /** An empty string for an option without value. */
  readonly value: string;
}

/** What a command line says, in terms of its verb's options. */
export class ParsedArguments {
  /** What isn't an option, in order. */
  readonly operands: readonly string[];
  /** What the plug-ins bring that it names. */
  readonly plugins: Plugins;
  /** All options, in the order in which they are given. */
  readonly given: readonly GivenOption[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  /**
   * @param values - by option key; an empty string for each time that an option without value is given
   * @param given - the same in order, for verbs whose options are done one after the other
   */
  constructor(
    operands: readonly string[],
    values: ReadonlyMap<string, readonly string[]>,
    plugins: Plugins = noPlugins,
    given: readonly GivenOption[] = [],
  ) {
    this.operands = operands;
    this.#values = values;
    this.plugins = plugins;
    this.given = given;
  }

  /** Whether the option is given. */
  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The option's value; of several, the last. */
  value(key: string): string | undefined {
    return this.#values.get(key)?.at(-1);
  }

  /** All values of the option, in order. */
  values(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** The same with one more operand behind the others. */
  with(operand: string): ParsedArguments {
    return new ParsedArguments([...this.operands, operand], this.#values, this.plugins, this.given);
  }

  /** The same with plug-ins. */
  withPlugins(plugins: Plugins): ParsedArguments {
    return new ParsedArguments(this.operands, this.#values, plugins, this.given);
  }

  /** The same with these options alone, and without operands. Plug-ins stay. */
  only(...keys: readonly string[]): ParsedArguments {
    return new ParsedArguments([], new Map([...this.#values].filter(([key]) => keys.includes(key))), this.plugins);
  }
}
