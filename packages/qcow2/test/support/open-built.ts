import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2, type Qcow2Image, type Qcow2OpenOptions } from "../../src/index.ts";
import type { ImageBuilder } from "./image-builder.ts";
import type { World } from "./worlds.ts";

/** Opens what a builder made, its data file included. */
export function openBuilt(
  world: World,
  image: ImageBuilder | Uint8Array,
  options: Qcow2OpenOptions = {},
): Promise<FormatAccess<Qcow2Image>> {
  const bytes = image instanceof Uint8Array ? image : image.build();
  const dataFile =
    image instanceof Uint8Array || image.dataFile.length === 0 ? {} : { dataFile: dataStorage(world, image) };
  return world.run(qcow2.openIo(world.storage(new MemoryStorage(bytes)), { ...dataFile, ...options }));
}

function dataStorage(world: World, image: ImageBuilder): ReturnType<World["storage"]> {
  return world.storage(new MemoryStorage(image.dataFile));
}

/** Reads a range, by default the whole disk. */
export async function readDisk(
  world: World,
  access: FormatAccess,
  offset = 0,
  length: number = access.size - offset,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0xaa);
  await world.run(access.io.read(IoVector.single(bytes), offset));
  return bytes;
}
