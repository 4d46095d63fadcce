/** One option of a verb, as the parser and the help see it. Has a long name, a letter, or both. */
export interface OptionDefinition {
  /** Without the dashes, for example `"force-share"`. */
  readonly long?: string;
  /** One letter. */
  readonly short?: string;
  /** What its value is called in the help; absent: the option has none. */
  readonly value?: string;
  /** The value may be left out, and is given as `--name=value` only; needs a long name. Left out, it is an empty string. */
  readonly optionalValue?: boolean;
  /** One line, without a full stop. */
  readonly help: string;
  /** Has to be spelled out, so that other names can be cut as short as without it. */
  readonly unabbreviated?: boolean;
  /** Not shown in the help: understood only to be refused by name. */
  readonly hidden?: boolean;
}

/** What an option is called in the table of parsed arguments: its long name, or else its letter. */
export function optionKey(option: OptionDefinition): string {
  const key = option.long ?? option.short;
  if (key === undefined) {
    throw new TypeError(`an option needs a name: ${option.help}`);
  }
  return key;
}
