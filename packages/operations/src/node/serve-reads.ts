import type { MessagePort } from "node:worker_threads";
import { runSync, type FormatAccess } from "@img/format-core";
import { SourceDisk } from "../convert/source-disk.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openImageSync } from "./open-image.ts";
import type { ReaderMessage, ReadRequest } from "./reader-threads.ts";

/**
 * Reads the sources of a conversion for the thread that began it, until that says `"end"`. That thread holds the locks of all files. What goes wrong
 * isn't told: it meets the same when it does by itself what wasn't done here.
 */
export function serveReads(port: MessagePort, sources: readonly ImageSpec[]): void {
  const images: FormatAccess[] = [];
  const close = (): void => {
    port.close();
    for (const image of images) {
      runSync(image.io.close());
    }
  };
  const tell = (message: ReaderMessage): void => {
    port.postMessage(message);
  };
  try {
    for (const spec of sources) {
      images.push(openImageSync({ ...spec, blocking: "always", lock: "off", writable: false }));
    }
  } catch {
    close();
    return;
  }
  const disk = new SourceDisk(images);
  port.on("message", (request: ReadRequest | "end") => {
    if (request === "end") {
      close();
      return;
    }
    try {
      runSync(disk.read(request.into, request.offset));
      tell("read");
    } catch {
      tell("failed");
    }
  });
  tell("ready");
}
