import { readFileSync, rmSync } from "node:fs";
import { runTool } from "./run-tool.ts";

/** What to open: a path, or `json:{…}` where options have to be given. */
export type ImageName = string;

/** One entry of `qemu-img map --output=json`. */
export interface QemuMapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** The map of an image, as the real tool prints it. */
export function qemuMap(name: ImageName, format?: string): QemuMapEntry[] {
  const { stdout } = runTool("qemu-img", [
    "map",
    "--output=json",
    ...(format === undefined ? [] : ["-f", format]),
    name,
  ]);
  return JSON.parse(stdout) as QemuMapEntry[];
}

/** What the real tool tells about an image. */
export function qemuInfo(name: ImageName, format?: string): Record<string, unknown> {
  const { stdout } = runTool("qemu-img", [
    "info",
    "--output=json",
    ...(format === undefined ? [] : ["-f", format]),
    name,
  ]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/**
 * All bytes of an image, as the real tool reads them.
 * @param scratch - path for the raw copy; removed afterwards
 * @param snapshot - name or id of the internal snapshot to read. Its bytes are cut off or filled up to the *image's* size: the tool doesn't
 * look at the snapshot's own
 */
export function qemuContents(name: ImageName, scratch: string, snapshot?: string): Uint8Array {
  try {
    const which = snapshot === undefined ? [] : ["-l", snapshot];
    runTool("qemu-img", ["convert", "-O", "raw", ...which, name, scratch]);
    return readFileSync(scratch);
  } finally {
    rmSync(scratch, { force: true });
  }
}
