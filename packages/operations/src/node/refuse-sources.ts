import { ImgError, type Storage } from "@img/format-core";
import { FileStorage } from "@img/storage-fs";

/**
 * Refuses to write the file at `path` if it is one of `sources`.
 * @throws ImgError `ERR_IMG_DENIED` if it is; else as `FileStorage.open`
 */
export async function refuseSources(path: string, sources: readonly Storage[]): Promise<void> {
  const storage = await FileStorage.open(path, { lock: "off", native: "off" });
  await storage.close();
  for (const source of sources) {
    if (source.identity === storage.identity) {
      throw new ImgError("ERR_IMG_DENIED", `${storage.label} would be read and written by the same conversion`, {
        subject: storage.label,
      });
    }
  }
}
