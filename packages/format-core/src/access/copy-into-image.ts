import type { FormatDriver } from "../format/driver.ts";
import type { Io } from "../io/io.ts";
import { copyStorage, type StorageRange } from "../storage-access/copy-storage.ts";
import { prepareWrite } from "./write-image.ts";

/**
 * Has the host copy a range of a storage onto the disk: as much as the driver can make writable in one piece. The caller holds the lease.
 *
 * @returns bytes that were copied; 0 where the host can't copy all that was made writable, which then is as it was
 */
export function* copyIntoImage(driver: FormatDriver, source: StorageRange, offset: number): Io<number> {
  const prepared = yield* prepareWrite(driver, offset, source.length, { overwrite: true, direct: true });
  const length = Math.min(prepared.length, source.length);
  let copied = 0;
  try {
    copied = yield* copyStorage(prepared.storage, { ...source, length }, prepared.offset);
  } finally {
    if (copied !== length) {
      prepared.abort();
    }
  }
  if (copied !== length) {
    return 0;
  }
  prepared.commit();
  return length;
}
