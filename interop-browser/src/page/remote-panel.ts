import { ImgError } from "@img/format-core";
import type { RemoteReply, RemoteRequest } from "../shared/remote-messages.ts";
import { element } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import { runWorker } from "./run-worker.ts";

/** Has a worker read an image on a server, and shows what it found. */
export async function readRemote(url: string): Promise<void> {
  const request: RemoteRequest = { url };
  for await (const reply of runWorker<RemoteReply>("remote-worker.js", request)) {
    if (reply.kind === "failed") throw new ImgError(reply.code, reply.message);
    element("remote-image", HTMLElement).textContent = reply.image;
    element("remote-size", HTMLElement).textContent = `${formatBytes(reply.size)}, SHA-256`;
    element("remote-sha256", HTMLElement).textContent = reply.sha256;
    element("remote-panel", HTMLElement).hidden = false;
  }
}
