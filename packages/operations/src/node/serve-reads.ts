import type { MessagePort } from "node:worker_threads";
import { runSync } from "@img/format-core";
import { SourceDisk } from "../convert/source-disk.ts";
import type { ReaderMessage, ReadJob, ReadRequest } from "./reader-threads.ts";
import { closeAll, openSharedImages } from "./shared-images.ts";

/**
 * Reads the sources of a conversion for the thread that began it, until that says `"end"`. What goes wrong isn't told: that thread meets the same
 * when it does by itself what wasn't done here.
 */
export function serveReads(port: MessagePort, { sources }: ReadJob): void {
  const images = openSharedImages(sources);
  const disk = new SourceDisk(images);
  const tell = (message: ReaderMessage): void => {
    port.postMessage(message);
  };
  port.on("message", (request: ReadRequest | "end") => {
    if (request === "end") {
      port.close();
      closeAll(images);
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
