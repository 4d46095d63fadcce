import { keepCompiled } from "./keep-compiled.ts";
import { loadVerb } from "./load-verb.ts";

/** What such a file exports: what a thread does with its job. */
type ThreadModule = Record<string, (...told: unknown[]) => void>;

/**
 * Loads what a thread of the program does, which has its job by then. The thread that began it has V8 set as both of them need it at that time; compiled code
 * that was kept is used only with the settings of then.
 *
 * @param file - beside the program's own
 */
export function loadThread(file: string): ThreadModule {
  keepCompiled();
  return loadVerb(file) as ThreadModule;
}
