import { ImgError, runSync, type FormatAccess } from "@img/format-core";
import { convertIo } from "../convert/convert.ts";
import type { ConvertShare, ThreadMessage } from "./convert-threads.ts";
import { openImageSync } from "./open-image.ts";
import { SharedCursor } from "./shared-cursor.ts";

/**
 * Does one thread's share of a conversion, synchronously, with descriptors of its own. Whoever began the conversion holds the locks of all
 * files, and takes care of making the target durable.
 */
export function runConvertShare(share: ConvertShare, tell: (message: ThreadMessage) => void): void {
  const cursor = new SharedCursor(share.cursor);
  const images: FormatAccess[] = [];
  try {
    for (const spec of share.sources) {
      images.push(openImageSync({ ...spec, blocking: "always", lock: "off" }));
    }
    const target = openImageSync({ ...share.target, blocking: "always", lock: "off", durable: false });
    images.push(target);
    tell({ kind: "ready" });
    const settings = { ...share.settings, parallel: 1 };
    runSync(convertIo(images.slice(0, -1), target, settings, cursor));
    tell({ kind: "done" });
  } catch (error) {
    cursor.stop();
    tell({ kind: "failed", code: error instanceof ImgError ? error.code : undefined, message: messageOf(error) });
  } finally {
    for (const image of images) {
      runSync(image.io.close());
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
