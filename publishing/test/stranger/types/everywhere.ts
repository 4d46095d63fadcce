// Type-checked as a program for browsers, without Node's types: what our portable packages declare has to do with those.
import { defineFormat, FormatRegistry, MemoryStorage, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { compare, info, type ImageInfo } from "@img/operations";
import { checkQcow2, qcow2, type Qcow2Image } from "@img/qcow2";
import { raw } from "@img/raw";
import { createSync, type SyncFormatAccess } from "@img/sync";

export async function describe(storage: Storage): Promise<ImageInfo> {
  await using disk: FormatAccess<Qcow2Image> = await qcow2.open(storage, { l2CacheSize: 2 ** 20 });
  const clusterSize: number = disk.driver.info.clusterSize;
  await disk.readv(new IoVector([new Uint8Array(clusterSize)]), 0);
  const corruptions: number = (await checkQcow2(disk)).corruptions;
  if (corruptions > 0) throw new Error(String(corruptions));
  return info(disk);
}

export function make(): SyncFormatAccess<Qcow2Image> {
  return createSync(qcow2, new MemoryStorage(), { size: 2 ** 20 });
}

export const formats: FormatRegistry = new FormatRegistry([qcow2, raw]);
export { compare, defineFormat };

// @ts-expect-error sizes are numbers
createSync(qcow2, new MemoryStorage(), { size: "1G" });
// @ts-expect-error there is no such option
void qcow2.open(new MemoryStorage(), { l2CacheSise: 1 });
