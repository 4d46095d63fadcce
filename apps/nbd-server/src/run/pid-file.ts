import { rmSync, writeFileSync } from "node:fs";
import { wrapHostError } from "@img/format-core";

/** A file with the process's number, that only its owner can read. */
export class PidFile {
  readonly #path: string | undefined;
  #written = false;

  /** @param path - `undefined`: there is to be none */
  constructor(path: string | undefined) {
    this.#path = path;
  }

  /** @throws ImgError with the host's code */
  write(): void {
    if (this.#path === undefined) {
      return;
    }
    try {
      writeFileSync(this.#path, `${process.pid}\n`, { mode: 0o600 });
    } catch (error) {
      throw wrapHostError(error, `cannot write the pid file ${this.#path}`, this.#path);
    }
    this.#written = true;
  }

  /** Removes what was written, if anything. */
  remove(): void {
    if (this.#path !== undefined && this.#written) {
      rmSync(this.#path, { force: true });
    }
  }
}
