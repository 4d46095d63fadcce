import {
  ImgError,
  MemoryStorage,
  type CreateOptions,
  type FormatAccess,
  type Io,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { runIn } from "../suite/world.ts";
import type { FormatFactory, FormatManifest } from "./format-manifest.ts";

/** Makes and opens images as a factory says, with what it leaves to the format. */
export class ImageMaker {
  readonly #factory: FormatFactory;
  readonly #manifest: FormatManifest;

  constructor(factory: FormatFactory, manifest: FormatManifest) {
    this.#factory = factory;
    this.#manifest = manifest;
  }

  /** What the storages of an image hold whose disk reads as `disk`. */
  async image(disk: Uint8Array): Promise<readonly Uint8Array[]> {
    if (this.#factory.image !== undefined) {
      const made = await this.#factory.image(disk.slice());
      return made instanceof Uint8Array ? [made] : made;
    }
    const storages = Array.from({ length: this.#manifest.storages ?? 1 }, () => new MemoryStorage());
    const world = this.#manifest.sync === false ? "async" : "sync";
    await runIn(world, this.#write(storages, disk));
    return storages.map((storage) => storage.toUint8Array());
  }

  *#write(storages: readonly Storage[], disk: Uint8Array): Io<void> {
    const access = yield* this.create(storages, { size: disk.length });
    for (const [start, end] of runsOfData(disk)) {
      yield* access.io.write(IoVector.single(disk.subarray(start, end)), start);
    }
    yield* access.io.close();
  }

  /** Opens an image. */
  open(storages: readonly Storage[], writable: boolean): Io<FormatAccess> {
    return this.#factory.open?.(storages, { writable }) ?? this.#factory.format.openIo(main(storages), { writable });
  }

  /** Creates an image. */
  create(storages: readonly Storage[], options: CreateOptions): Io<FormatAccess> {
    return this.#factory.create?.(storages, options) ?? this.#factory.format.createIo(main(storages), options);
  }
}

function main(storages: readonly Storage[]): Storage {
  const [first] = storages;
  if (first === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "an image without a storage");
  }
  return first;
}

/** Where a disk isn't zero, in steps of a sector, so that zeroes stay unwritten. */
function* runsOfData(disk: Uint8Array): Generator<readonly [start: number, end: number]> {
  const sector = 512;
  let start = -1;
  for (let at = 0; at < disk.length; at += sector) {
    const isData = disk.subarray(at, at + sector).some((byte) => byte !== 0);
    if (isData && start < 0) {
      start = at;
    } else if (!isData && start >= 0) {
      yield [start, at];
      start = -1;
    }
  }
  if (start >= 0) {
    yield [start, disk.length];
  }
}
