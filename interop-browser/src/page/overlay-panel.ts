import { ImgError } from "@img/format-core";
import type { OverlayReply, OverlayRequest, OverlayResult } from "../shared/overlay-messages.ts";
import { editLength, type Edit } from "../shared/edit.ts";
import { create, element } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import { runWorker } from "./run-worker.ts";

/** Has an overlay of the chosen image written into the origin's private file system, shows how that goes, and offers the file. */
export async function makeOverlay(image: File, others: readonly File[]): Promise<void> {
  const name = `${image.name.replace(/\.[^.]*$/, "")}-overlay.qcow2`;
  const list = element("edits", HTMLElement);
  const request: OverlayRequest = { image, others, name };
  for await (const reply of runWorker<OverlayReply>("overlay-worker.js", request)) {
    switch (reply.kind) {
      case "edits":
        list.replaceChildren(...reply.edits.map(describeEdit));
        break;
      case "edited":
        list.children[reply.index]?.classList.add("done");
        break;
      case "failed":
        throw new ImgError(reply.code, reply.message);
      case "done":
        await showResult(name, reply.result);
    }
  }
}

function describeEdit(edit: Edit): HTMLElement {
  const what = create("span", {}, names[edit.kind], edit.kind === "text" ? ` “${edit.text}”` : "");
  const where = `${formatBytes(editLength(edit))} at 0x${edit.offset.toString(16)}`;
  return create("li", {}, what, create("span", { class: "number" }, where));
}

const names: Readonly<Record<Edit["kind"], string>> = {
  text: "Write",
  fill: "Write noise",
  compressed: "Write compressed",
  zeroes: "Write zeroes",
  discard: "Discard",
};

async function showResult(name: string, result: OverlayResult): Promise<void> {
  const { corruptions, leaks, allocatedClusters, compressedClusters, fileSize, sha256 } = result;
  const sound = corruptions === 0 && leaks === 0;
  element("overlay-check", HTMLElement).textContent = sound
    ? `Checked: no errors. ${String(allocatedClusters)} clusters, ${String(compressedClusters)} of them compressed.`
    : `Checked: ${String(corruptions)} errors, ${String(leaks)} leaked clusters.`;
  element("overlay-sha256", HTMLElement).textContent = sha256;
  const link = element("overlay-link", HTMLAnchorElement);
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(await privateFile(name));
  link.download = name;
  link.textContent = `Save ${name} (${formatBytes(fileSize)})`;
  element("overlay-result", HTMLElement).hidden = false;
}

async function privateFile(name: string): Promise<File> {
  const directory = await navigator.storage.getDirectory();
  return (await directory.getFileHandle(name)).getFile();
}
