import type { MessagePort } from "node:worker_threads";
import { SharedParts, type SharedPart } from "../parts/shared-parts.ts";
import type { PartJob, PartMessage } from "./part-threads.ts";

/**
 * Works on a part.
 * @param goOn - `false`: nobody wants it any more
 * @returns bytes that were written as data; `undefined`: it couldn't be finished
 */
export type PartWork = (part: SharedPart, goOn: () => boolean) => number | undefined;

/**
 * Takes parts and works on them until none is left. What goes wrong isn't told but for where it is: the thread that asked for help meets it when it
 * does that part once more.
 *
 * @param close - closes what was written. Some file systems say only then that they couldn't store something: if it throws, no part is finished
 */
export function serveParts(
  port: MessagePort,
  { total, memory }: PartJob,
  work: PartWork,
  close: () => void = () => undefined,
): void {
  const tell = (message: PartMessage): void => {
    port.postMessage(message);
  };
  const parts = new SharedParts(total, memory);
  const worked: { readonly part: SharedPart; readonly written: number }[] = [];
  tell("begun");
  for (let part = parts.take(); part !== undefined; part = parts.take()) {
    const written = tryWork(work, part, parts);
    if (written === undefined) {
      parts.stopAt(part);
    } else if (parts.isWanted(part)) {
      parts.add(part.end - part.start, 0);
      worked.push({ part, written });
    }
  }
  close();
  for (const { part, written } of worked) {
    parts.settle(part);
    parts.add(0, written);
  }
  if (worked.length > 0) {
    tell("helped");
  }
}

function tryWork(work: PartWork, part: SharedPart, parts: SharedParts): number | undefined {
  try {
    return work(part, () => parts.isWanted(part));
  } catch {
    return undefined;
  }
}
