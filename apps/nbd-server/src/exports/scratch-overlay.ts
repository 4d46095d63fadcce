import { existsSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeAfterFailure, runAsync, type FormatAccess } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";

const sector = 512;

/**
 * An empty image on top of another one, in a temporary file (in `TMPDIR`, or `/var/tmp`) that has no name any more when this returns: it goes away with the
 * process, however that ends.
 */
export async function scratchOverlay(below: FormatAccess): Promise<FormatAccess> {
  const path = join(directory(), `img-nbd-${randomUUID()}`);
  const storage = await FileStorage.create(path, { blocking: "cached", lock: "off" });
  try {
    await unlink(path);
    return await qcow2.create(storage, {
      size: Math.ceil(below.size / sector) * sector,
      backing: below,
      // nobody else ever reads it; the header only has to say that there is something below
      backingFile: { name: "below", format: below.driver.format },
    });
  } catch (error) {
    await runAsync(closeAfterFailure(storage));
    throw error;
  }
}

/** Where scratch files go: what comes together there may be large, which many systems' `/tmp` isn't made for. */
function directory(): string {
  return process.env["TMPDIR"] ?? (existsSync("/var/tmp") ? "/var/tmp" : tmpdir());
}
