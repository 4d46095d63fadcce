import type { OnUnreadable } from "@img/operations";
import { strerror } from "../errors/strerror.ts";
import type { Terminal } from "../terminal.ts";
import type { ProgressLine } from "./progress-line.ts";

/** qemu-img gives up sector by sector, and tells of each. */
const sectorSize = 512;

/** Tells of what can't be read as `qemu-img convert --salvage` does. */
export function salvageWarnings(terminal: Terminal, line: ProgressLine): OnUnreadable {
  return ({ offset, length, what, error }) => {
    line.clear();
    const reason = strerror(error.code) ?? "Input/output error";
    const step = what === "data" ? sectorSize : length;
    const reading = what === "data" ? "reading" : "reading block status at";
    for (let at = offset; at < offset + length; at += step) {
      terminal.note(`${terminal.program}: warning: error while ${reading} offset ${String(at)}: ${reason}\n`);
    }
  };
}
