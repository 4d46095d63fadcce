import { run as rebase } from "./rebase.ts";
import type { VerbContext } from "./verb.ts";

/** `img rebase -u`: in the program, without what reads and writes disks. */
export const run: (context: VerbContext) => Promise<number> = rebase;
