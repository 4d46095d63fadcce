import { runSync, type FormatAccess, type Storage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { createSync, type SyncFormatAccess } from "@img/sync";
import { chosenFilesGate, formats } from "../shared/chosen-files.ts";
import { editBytes, type Edit } from "../shared/edit.ts";
import { exampleEdits } from "../shared/example-edits.ts";
import type { OverlayReply, OverlayRequest } from "../shared/overlay-messages.ts";
import { SyncFileStorage } from "./sync-file-storage.ts";

/** Of the overlay, in bytes. */
const clusterSize = 65_536;

/**
 * Makes an overlay of the chosen image and changes its disk, all without waiting.
 * @param storage - what the overlay is to lie in; closed with it
 * @param reply - told what happens on the way
 */
export function writeOverlay(request: OverlayRequest, storage: Storage, reply: (message: OverlayReply) => void): void {
  const base = openBase(request);
  try {
    const options = { backing: base, backingFile: { name: request.image.name, format: base.driver.format } };
    using overlay = createSync(qcow2, storage, { size: base.size, clusterSize, ...options });
    const edits = exampleEdits(overlay.size, clusterSize);
    reply({ kind: "edits", edits });
    for (const [index, edit] of edits.entries()) {
      applyEdit(overlay, edit);
      reply({ kind: "edited", index });
    }
    overlay.flush();
    overlay.sync();
  } finally {
    runSync(base.io.close());
  }
}

/** Opens the chosen image with synchronous storages, and what it stands on if that was chosen too. */
function openBase(request: OverlayRequest): FormatAccess {
  const toStorage = (file: File): Storage => new SyncFileStorage(file);
  const gate = chosenFilesGate(request.others, toStorage);
  return runSync(formats.openIo(toStorage(request.image), { gate }));
}

function applyEdit(disk: SyncFormatAccess, edit: Edit): void {
  switch (edit.kind) {
    case "text":
    case "fill":
      disk.write(editBytes(edit), edit.offset);
      break;
    case "compressed":
      disk.writeCompressed(editBytes(edit), edit.offset);
      break;
    case "zeroes":
      disk.writeZeroes(edit.offset, edit.length);
      break;
    case "discard":
      disk.discardToZero(edit.offset, edit.length);
      break;
  }
}
