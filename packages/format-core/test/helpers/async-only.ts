import { StorageDecorator, type Storage } from "../../src/index.ts";

/** A storage without the synchronous facet. */
export function asyncOnly(storage: Storage): Storage {
  const inner = new StorageDecorator(storage);
  Object.defineProperty(inner, "readSync", { value: undefined });
  // hides the rest of the facet
  return new StorageDecorator(inner);
}
