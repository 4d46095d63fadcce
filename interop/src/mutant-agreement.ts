import { writeFileSync } from "node:fs";
import { ImgError, MemoryStorage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { checkRefusal } from "./exercise.ts";
import { readWholeAsync } from "./read-everything.ts";
import { runTool } from "./run-tool.ts";
import { qemuContents } from "./qemu-img.ts";

/** What somebody made of a bad image: its whole disk, or a refusal. */
export type Verdict =
  { readonly accepted: true; readonly contents: Uint8Array } | { readonly accepted: false; readonly reason: string };

/** Most bytes that a mutated image's disk may have to be read as a whole. */
const mostSize = 8 * 1024 * 1024;

/** Our verdict on an image alone, without the image below. `undefined`: its disk is too large to be read as a whole. */
export async function ourVerdict(image: Uint8Array): Promise<Verdict | undefined> {
  try {
    await using access = await qcow2.open(new MemoryStorage(image, { writable: false }), { backing: null });
    if (access.size > mostSize) {
      return undefined;
    }
    return { accepted: true, contents: await readWholeAsync(access, 65536) };
  } catch (error) {
    return { accepted: false, reason: `${checkRefusal(error).code} ${(error as ImgError).message}` };
  }
}

/**
 * The real tool's verdict on the same.
 * @param scratch - paths for the files that this takes
 */
export function qemuVerdict(image: Uint8Array, scratch: (name: string) => string): Verdict {
  const path = scratch("mutant.qcow2");
  writeFileSync(path, image);
  const name = `json:${JSON.stringify({ driver: "qcow2", file: { driver: "file", filename: path }, backing: null })}`;
  try {
    const info = runTool("qemu-img", ["info", "--output=json", name], { timeout: 10_000 });
    const { "virtual-size": size } = JSON.parse(info.stdout) as { readonly "virtual-size": number };
    if (size > mostSize) {
      return { accepted: false, reason: `a disk of ${String(size)} bytes` };
    }
    return { accepted: true, contents: qemuContents(name, scratch("mutant.raw")) };
  } catch (error) {
    return { accepted: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
