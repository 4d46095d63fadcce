import type { MessagePort } from "node:worker_threads";
import { ImgError, runSync, type FormatAccess } from "@img/format-core";
import { raw } from "@img/raw";
import { FileStorage } from "@img/storage-fs";
import { ConvertJob } from "../convert/convert-job.ts";
import { SourceDisk } from "../convert/source-disk.ts";
import type { CopyJob, SharedFile } from "./copy-threads.ts";
import { serveParts, type PartWork } from "./serve-parts.ts";
import { closeAll, openSharedImages } from "./shared-images.ts";
import { UnsyncedStorage } from "./unsynced-storage.ts";

/** Copies parts of disks until none is left. */
export function serveCopying(port: MessagePort, job: CopyJob, loaded: () => void): void {
  const images = openSharedImages(job.sources);
  try {
    const target = openTarget(job.target);
    images.push(target);
    loaded();
    const copying = new ConvertJob(new SourceDisk(images.slice(0, -1)), target, job.settings);
    const copyPart: PartWork = (part, goOn) => {
      const before = copying.written;
      copying.begin(part);
      while (goOn() && runSync(copying.step()));
      return goOn() ? copying.written - before : undefined;
    };
    serveParts(port, job, copyPart, () => {
      runSync(target.io.close());
    });
  } finally {
    closeAll(images);
  }
}

/** The thread that began the conversion syncs the file, which takes what is written here too. */
function openTarget({ path, file, options }: SharedFile): FormatAccess {
  const storage = FileStorage.openSync(path, { ...options, blocking: "always", lock: "off", writable: true });
  if (storage.identity !== file) {
    storage.closeSync();
    throw new ImgError("ERR_IMG_DENIED", `${path}: the file was replaced since the other thread opened it`);
  }
  return runSync(raw.openIo(new UnsyncedStorage(storage), { writable: true }));
}
