import { existsSync } from "node:fs";

const directory = new URL("../../node_modules/.cache/img/tools-trixie/bin/", import.meta.url).pathname;

/** Programs of a newer Debian that speak extended headers, which the system's may not: libnbd 1.22 and QEMU 10. */
export type NewerTool = "nbdinfo" | "nbdcopy" | "qemu-img" | "qemu-io" | "qemu-nbd";

/** Why there are none of them, for the names of tests that are skipped then; `undefined`: they are there. */
export const missingNewerTools: string | undefined = existsSync(directory)
  ? undefined
  : "skipped: tools of Debian 13 could not be fetched";

/** The path of one of them. */
export function newerTool(name: NewerTool): string {
  return `${directory}${name}`;
}
