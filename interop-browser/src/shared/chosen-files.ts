import {
  allowAll,
  denyAll,
  FormatRegistry,
  ImgError,
  perform,
  type Io,
  type OpenGate,
  type Storage,
  type StorageOpener,
} from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";

/** The formats that the page knows. */
export const formats: FormatRegistry = new FormatRegistry([qcow2, raw]);

/** How a storage is made of a chosen file. */
export type FileToStorage = (file: File) => Storage;

/**
 * The gate that opens the files that a person has chosen, by their names, and nothing else: browsers have no paths. Of what an image calls its
 * backing image, only the part behind the last slash counts.
 */
export function chosenFilesGate(files: readonly File[], toStorage: FileToStorage): OpenGate {
  return files.length === 0 ? denyAll : allowAll({ opener: new ChosenFilesOpener(files, toStorage), formats });
}

class ChosenFilesOpener implements StorageOpener {
  readonly #files: readonly File[];
  readonly #toStorage: FileToStorage;

  constructor(files: readonly File[], toStorage: FileToStorage) {
    this.#files = files;
    this.#toStorage = toStorage;
  }

  open(location: string): Io<Storage> {
    const open = (): Storage => this.#toStorage(this.#find(location));
    return perform({ label: location, async: open, sync: open });
  }

  canonical(location: string): Io<string> {
    const find = (): string => this.#find(location).name;
    return perform({ label: location, async: find, sync: find });
  }

  #find(location: string): File {
    const name = location.slice(location.lastIndexOf("/") + 1);
    const file = this.#files.find((each) => each.name === name);
    if (file === undefined) {
      throw new ImgError("ERR_IMG_DENIED", `the image wants ${JSON.stringify(location)}, which wasn't chosen with it`, {
        subject: location,
      });
    }
    return file;
  }
}
