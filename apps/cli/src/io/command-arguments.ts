import { IoError } from "./io-error.ts";

/** The arguments of a command: its flags, and what isn't one. */
export class CommandArguments {
  readonly operands: readonly string[];
  readonly #flags: ReadonlyMap<string, string>;

  /**
   * Flags and operands in any order, flags in bundles.
   * @param flags - the letters, those with a value followed by a colon
   * @throws IoError for what is no flag
   */
  constructor(name: string, words: readonly string[], flags: string) {
    const operands: string[] = [];
    const found = new Map<string, string>();
    const rest = [...words];
    for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
      if (word === "--") {
        operands.push(...rest.splice(0));
      } else if (word.startsWith("-") && word !== "-") {
        for (let at = 1; at < word.length; at++) {
          const letter = word.charAt(at);
          const index = letter === ":" ? -1 : flags.indexOf(letter);
          if (index < 0) {
            throw new IoError(`${name}: invalid option -- '${letter}'`, "errors");
          }
          if (flags[index + 1] !== ":") {
            found.set(letter, "");
            continue;
          }
          const value = at + 1 < word.length ? word.slice(at + 1) : rest.shift();
          if (value === undefined) {
            throw new IoError(`${name}: option requires an argument -- '${letter}'`, "errors");
          }
          found.set(letter, value);
          break;
        }
      } else {
        operands.push(word);
      }
    }
    this.operands = operands;
    this.#flags = found;
  }

  has(flag: string): boolean {
    return this.#flags.has(flag);
  }

  value(flag: string): string | undefined {
    return this.#flags.get(flag);
  }
}
