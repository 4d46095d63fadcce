import type { PreparedThread } from "@img/operations/node";
import type { OptionDefinition } from "../arguments/option-definition.ts";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import type { Terminal } from "../terminal.ts";

/** What a verb is run with. */
export interface VerbContext {
  readonly args: ParsedArguments;
  readonly terminal: Terminal;
  /** Aborted when the user interrupts the command. */
  readonly signal: AbortSignal;
  /** A thread that was started while the verb was loaded, see {@link Verb.readByThreads}. */
  readonly prepared?: PreparedThread;
}

/** What a verb's own file exports. */
interface VerbModule {
  /**
   * Does it.
   * @returns the exit code
   */
  readonly run: (context: VerbContext) => Promise<number>;
}

/** One verb of the command line. Everything that can be known without loading it: parsing and help are made from this. */
export interface Verb {
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** What follows the options, for the help. */
  readonly operands: string;
  readonly options: readonly OptionDefinition[];
  /** The last word is an operand even if it looks like an option: sizes may be negative. Default `false`. */
  readonly lastIsOperand?: boolean;
  /** Exit codes other than 0 success and 1 failure, for the help. */
  readonly exitCodes?: readonly (readonly [code: number, meaning: string])[];
  /** What its failures exit with that have no code of their own. Default 1. */
  readonly failureCode?: number;
  /** Names of images that several threads are going to read, if they are long enough. Default: none. */
  readByThreads?(args: ParsedArguments): readonly string[];
  /**
   * Loads what does it.
   * @param args - what it is going to be run with: some uses need less than others. Default: whatever may come
   */
  load(args?: ParsedArguments): Promise<VerbModule>;
}
