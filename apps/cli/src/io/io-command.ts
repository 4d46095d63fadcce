import type { FormatAccess } from "@img/format-core";
import type { CommandArguments } from "./command-arguments.ts";
import type { IoSession } from "./io-session.ts";

/** A command of {@link IoSession}. */
export interface IoCommand {
  readonly name: string;
  /** A shorter name. */
  readonly alias?: string;
  /** Fewest and most words behind the name. */
  readonly words: readonly [least: number, most: number];
  /** The letters of its flags, those with a value followed by a colon. */
  readonly flags?: string;
  /** What its arguments look like, for the help. */
  readonly usage?: string;
  readonly summary: string;
  /** What `help NAME` adds. */
  readonly help?: string;
  /** Changes the image. */
  readonly writes?: boolean;
  /** Has no image to work on, or needs none. */
  readonly withoutImage?: boolean;
  run(context: IoContext): Promise<void>;
}

/** What a command works with. */
export interface IoContext {
  readonly args: CommandArguments;
  readonly session: IoSession;
  /** The image that is open. @throws Error for a command that runs without one */
  readonly image: FormatAccess;
  /** Ends the command by printing how it is used. */
  usage(): never;
}
