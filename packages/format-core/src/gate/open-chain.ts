import { ImgError } from "../errors/img-error.ts";
import type { Storage } from "../storage/storage.ts";

/** Images that may stand on top of each other when nothing else is said. */
export const defaultDepthLimit = 64;

/**
 * The images from the one that the user opened down to the one being opened: finds loops and limits depth. Immutable.
 */
export class OpenChain {
  readonly #storages: readonly Storage[];
  readonly #limit: number;

  /**
   * @param limit - images that the chain may hold, ≥ 1
   * @param storages - those that it holds already
   */
  constructor(limit: number = defaultDepthLimit, storages: readonly Storage[] = []) {
    this.#limit = limit;
    this.#storages = storages;
  }

  /** Images in the chain. */
  get depth(): number {
    return this.#storages.length;
  }

  /**
   * The chain with one more image below.
   * @throws ImgError `ERR_IMG_CORRUPT` when `storage` is in the chain already (a loop); `ERR_IMG_LIMIT` when it gets too deep.
   */
  enter(storage: Storage): OpenChain {
    if (this.#storages.some((above) => isSame(above, storage))) {
      const path = [...this.#storages, storage].map((each) => each.label).join(" → ");
      throw new ImgError("ERR_IMG_CORRUPT", `the images refer to each other in a loop: ${path}`, {
        subject: storage.label,
      });
    }
    if (this.#storages.length >= this.#limit) {
      throw new ImgError("ERR_IMG_LIMIT", `${storage.label} is more than ${String(this.#limit)} images deep`, {
        subject: storage.label,
      });
    }
    return new OpenChain(this.#limit, [...this.#storages, storage]);
  }
}

function isSame(a: Storage, b: Storage): boolean {
  return a === b || (a.identity !== undefined && a.identity === b.identity);
}
