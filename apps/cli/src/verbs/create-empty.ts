import { run as create } from "./create.ts";
import type { VerbContext } from "./verb.ts";

/** `img create` for what `makesEmptyImage` accepts: in the program, without what opens qcow2 images. */
export const run: (context: VerbContext) => Promise<number> = create;
