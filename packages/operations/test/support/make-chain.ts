import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import type { SeededRandom } from "@img/testing";

/** One image of a chain. */
export interface ChainLayer {
  readonly name: string;
  readonly image: FormatAccess;
  readonly storage: MemoryStorage;
}

/** Images on top of each other, each with contents of its own; bottom first. */
export async function makeChain(random: SeededRandom, sizes: readonly number[]): Promise<ChainLayer[]> {
  const layers: ChainLayer[] = [];
  for (const [index, size] of sizes.entries()) {
    const backing = layers.at(-1)?.image;
    const storage = new MemoryStorage();
    const name = `layer-${String(index)}`;
    const format = index === 0 && random.chance(0.4) ? "raw" : "qcow2";
    const image =
      format === "raw"
        ? await raw.create(storage, { size })
        : await qcow2.create(storage, {
            size,
            clusterSize: random.pick([512, 4096, 65536]),
            compat: random.chance(0.2) ? "0.10" : "1.1",
            ...(backing === undefined
              ? {}
              : { backing, backingFile: { name: `layer-${String(index - 1)}`, format: backing.driver.format } }),
          });
    await scribble(image, random, index + 1);
    layers.push({ name, image, storage });
  }
  return layers;
}

/** Writes, zeroes and compresses here and there. */
async function scribble(image: FormatAccess, random: SeededRandom, pattern: number): Promise<void> {
  for (let count = random.integer(2, 6); count > 0; count--) {
    const offset = random.integer(0, image.size - 1);
    const length = Math.min(random.integer(1, image.size), image.size - offset);
    const kind = random.integer(0, 4);
    if (kind <= 2) {
      await image.write(new Uint8Array(Math.ceil(length / 3)).fill(pattern * 16 + count), offset);
    } else if (kind === 3) {
      await image.writeZeroes(offset, length);
    } else {
      await compress(image, offset, pattern);
    }
  }
}

async function compress(image: FormatAccess, offset: number, pattern: number): Promise<void> {
  const block = image.driver.compressedBlockSize;
  if (block !== undefined) {
    const start = offset - (offset % block);
    await image.writeCompressed(new Uint8Array(Math.min(block, image.size - start)).fill(pattern), start);
  }
}

/** All bytes of a disk, with zeroes up to `size` if it is shorter. */
export async function contentsOf(image: FormatAccess, size: number = image.size): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  await image.read(bytes, 0);
  return bytes;
}
