import { openerFromFunctions } from "@img/format-core";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ChunkedObjectStorage } from "./chunked-object-storage.js";
import { DirectoryStore } from "./directory-store.js";

export { ChunkedObjectStorage } from "./chunked-object-storage.js";
export { DirectoryStore } from "./directory-store.js";
export { MemoryStore } from "./memory-store.js";

/**
 * `chunks:PATH`: an object that is kept in the directory PATH, relative to the working directory.
 *
 * @param {string} location
 */
function pathOf(location) {
  const path = location.slice("chunks:".length);
  return path.startsWith("//") ? fileURLToPath(`file:${path}`) : resolve(path);
}

/** @type {import("@img/format-core").StorageOpeners} */
export const storages = {
  chunks: openerFromFunctions({
    open: async (location, { writable }) => {
      const path = pathOf(location);
      return ChunkedObjectStorage.open(new DirectoryStore(path), { writable, location: `chunks:${path}` });
    },
    canonical: async (location) => `chunks:${await new DirectoryStore(pathOf(location)).canonical()}`,
  }),
};
