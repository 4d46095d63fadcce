import { ImgError, MemoryStorage, type Io, type Storage, type StorageOpener } from "@img/format-core";

/** Notes every location that anything is opened at, before it is. */
export class RecordingOpener implements StorageOpener {
  /** Locations in the order of opening, failed attempts included. */
  readonly opened: string[] = [];
  readonly #inner: StorageOpener;

  constructor(inner: StorageOpener) {
    this.#inner = inner;
  }

  *open(location: string, options: { readonly writable: boolean }): Io<Storage> {
    this.opened.push(location);
    return yield* this.#inner.open(location, options);
  }

  *canonical(location: string): Io<string> {
    return yield* this.#inner.canonical(location);
  }
}

/** Opens memory by name: a file system for hostile images, in which nothing real can be reached. */
export function memoryOpener(files: ReadonlyMap<string, Uint8Array>): StorageOpener {
  return {
    *open(location): Io<Storage> {
      const contents = files.get(location);
      if (contents === undefined) {
        throw new ImgError("ENOENT", `there is no ${JSON.stringify(location)}`);
      }
      return new MemoryStorage(contents, { location, identity: location, writable: false });
    },
    *canonical(location): Io<string> {
      const parts: string[] = [];
      for (const part of location.split("/")) {
        if (part === "..") {
          parts.pop();
        } else if (part !== "" && part !== ".") {
          parts.push(part);
        }
      }
      return `/${parts.join("/")}`;
    },
  };
}
