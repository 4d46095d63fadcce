/** @import { ObjectStore } from "./object-store.js" */

/**
 * An object store in memory.
 *
 * @implements {ObjectStore}
 */
export class MemoryStore {
  label = "memory";
  /** @type {Map<string, Uint8Array>} */
  objects = new Map();

  /** @param {string} key */
  async get(key) {
    return this.objects.get(key)?.slice();
  }

  /**
   * @param {string} key
   * @param {Uint8Array} bytes
   */
  async put(key, bytes) {
    this.objects.set(key, bytes.slice());
  }

  /** @param {string} key */
  async delete(key) {
    this.objects.delete(key);
  }

  async list() {
    return [...this.objects.keys()];
  }
}
