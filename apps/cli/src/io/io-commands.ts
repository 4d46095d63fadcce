import { breakCommands } from "./break-commands.ts";
import { imageCommands } from "./image-commands.ts";
import type { IoCommand } from "./io-command.ts";
import { readCommands } from "./read-commands.ts";
import { sessionCommands } from "./session-commands.ts";
import { writeCommands } from "./write-commands.ts";

/** All commands, in the order of the help. */
export const ioCommands: readonly IoCommand[] = [
  ...breakCommands,
  ...readCommands,
  ...writeCommands,
  ...imageCommands,
  ...sessionCommands,
].sort((a, b) => (a.name < b.name ? -1 : 1));
