import { runSync, type SyncStorage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { openSync } from "@img/sync";
import { chosenFilesGate } from "../shared/chosen-files.ts";
import type { OverlayRequest, OverlayResult } from "../shared/overlay-messages.ts";
import { hashDisk } from "./hash-disk.ts";
import { SyncFileStorage } from "./sync-file-storage.ts";

/**
 * Opens an overlay, reads all of its disk, and checks its file, all without waiting. What lies below is opened through the gate.
 * @param storage - what the overlay lies in; closed with it
 */
export function readOverlay(request: OverlayRequest, storage: SyncStorage): OverlayResult {
  const gate = chosenFilesGate([request.image, ...request.others], (file) => new SyncFileStorage(file));
  using disk = openSync(qcow2, storage, { gate });
  const { corruptions, leaks, allocatedClusters, compressedClusters } = runSync(disk.driver.check());
  const sha256 = hashDisk(disk);
  return { fileSize: storage.size, sha256, corruptions, leaks, allocatedClusters, compressedClusters };
}
