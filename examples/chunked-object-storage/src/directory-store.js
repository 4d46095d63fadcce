import { mkdir, open, readdir, readFile, realpath, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** @import { ObjectStore } from "./object-store.js" */

/**
 * An object store in a directory: one file for each object.
 *
 * @implements {ObjectStore}
 */
export class DirectoryStore {
  label;
  #directory;

  /** @param {string} directory is made with the first object */
  constructor(directory) {
    this.label = directory;
    this.#directory = directory;
  }

  canonical() {
    return realpath(this.#directory);
  }

  /** @param {string} key */
  async get(key) {
    try {
      return await readFile(join(this.#directory, key));
    } catch (error) {
      return ifMissing(error, undefined);
    }
  }

  /**
   * @param {string} key
   * @param {Uint8Array} bytes
   */
  async put(key, bytes) {
    await mkdir(this.#directory, { recursive: true });
    const part = join(this.#directory, `${key}.part`);
    const file = await open(part, "w");
    try {
      await file.writeFile(bytes);
      // a name that is durable before its contents would lead to an empty file
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, join(this.#directory, key));
  }

  /** @param {string} key */
  async delete(key) {
    await rm(join(this.#directory, key), { force: true });
  }

  async list() {
    try {
      return await readdir(this.#directory);
    } catch (error) {
      return ifMissing(error, []);
    }
  }

  async sync() {
    await mkdir(this.#directory, { recursive: true });
    const directory = await open(this.#directory, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}

/**
 * @template T
 * @param {unknown} error
 * @param {T} value
 */
function ifMissing(error, value) {
  if (error instanceof Error && "code" in error && error.code === "ENOENT") {
    return value;
  }
  throw error;
}
