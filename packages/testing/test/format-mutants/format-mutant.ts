import {
  MemoryStorage,
  type Format,
  type FormatAccess,
  type FormatDriver,
  type Io,
  type Storage,
} from "@img/format-core";
import type { FormatFactory, FormatManifest } from "../../src/index.ts";
import { blocksFormat } from "../blocks-format/blocks-format.ts";
import type { BlocksFlaw } from "../blocks-format/blocks-image.ts";

export const blockSize = 4096;

/** What the unbroken format can do. */
export const blocksManifest: FormatManifest = {
  grows: true,
  shrinks: true,
  preallocations: ["none", "zero"],
  blockSize,
  programs: 1,
};

/** A format that breaks one promise, and the cases that have to notice. */
export interface FormatMutant {
  readonly name: string;
  /** A mistake of the format itself. */
  readonly flaw?: BlocksFlaw;
  /** Members of the format that are replaced. */
  readonly format?: (sound: Format) => Partial<Format>;
  /** Members of an open image's driver that are replaced. */
  readonly driver?: (sound: FormatDriver) => Partial<FormatDriver>;
  /** Changes an open image. */
  readonly access?: (access: FormatAccess) => void;
  /** What stands between the format and its storage. */
  readonly storage?: (storage: Storage) => Storage;
  /** Done when an image is opened. */
  readonly opening?: (storage: Storage, writable: boolean) => Io<void>;
  readonly manifest?: FormatManifest;
  /** Every case whose name (without its variant) matches one of them fails. */
  readonly caughtBy: readonly (string | RegExp)[];
  /** In these variants. Default: on plain storages. */
  readonly variants?: RegExp;
}

/** The factory for a broken format. */
export function factoryOf(mutant: FormatMutant): FormatFactory {
  const base = blocksFormat(blockSize, mutant.flaw) as unknown as Format;
  const format = { ...base, ...mutant.format?.(base) };
  function* finish(access: FormatAccess): Io<FormatAccess> {
    if (mutant.driver !== undefined) {
      const { driver } = access;
      Object.defineProperty(access, "driver", { value: patched(driver, mutant.driver(driver)) });
    }
    mutant.access?.(access);
    return access;
  }
  const storageOf = (storages: readonly Storage[]): Storage => mutant.storage?.(storages[0]!) ?? storages[0]!;
  return {
    format,
    // the images to begin with are sound
    image: async (disk) => {
      const memory = new MemoryStorage();
      const access = await blocksFormat(blockSize).create(memory, { size: disk.length });
      for (let at = 0; at < disk.length; at += 512) {
        const sector = disk.subarray(at, at + 512);
        if (sector.some((byte) => byte !== 0)) {
          await access.write(sector, at);
        }
      }
      await access.close();
      return memory.toUint8Array();
    },
    *open(storages, { writable }) {
      const storage = storageOf(storages);
      if (mutant.opening !== undefined) {
        yield* mutant.opening(storage, writable);
      }
      return yield* finish(yield* format.openIo(storage, { writable }));
    },
    *create(storages, options) {
      return yield* finish(yield* format.createIo(storageOf(storages), options));
    },
  };
}

/** A driver with some members replaced; the others work on the driver itself. */
function patched(driver: FormatDriver, members: Partial<FormatDriver>): FormatDriver {
  return new Proxy(driver, {
    get: (target, key) => {
      if (Object.hasOwn(members, key)) {
        return members[key as keyof FormatDriver];
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
