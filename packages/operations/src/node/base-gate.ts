import {
  closeAfterFailure,
  ImgError,
  type FormatRegistry,
  type Io,
  type OpenGate,
  type Storage,
} from "@img/format-core";
import type { ImageSpec } from "./image-spec.ts";
import { UnsyncedStorage } from "./unsynced-storage.ts";

/**
 * A gate that asks another one, and has the image that is so many images below opened for writing.
 *
 * @param depth - ≥ 1; 1: the one right below the image that the user opens
 * @returns a gate that throws ImgError `ERR_IMG_DENIED` when that image's format would have to be guessed, unless `spec` allows that
 */
export function baseGate(inner: OpenGate, formats: FormatRegistry, spec: ImageSpec, depth: number): OpenGate {
  const { writeProbed = false } = spec;
  const gate: OpenGate = {
    openStorage: (reference) => inner.openStorage(reference),
    *openImage(reference) {
      const { chain, format, from, name } = reference;
      const writable = chain.depth === depth;
      if (writable && format === undefined && !writeProbed) {
        throw new ImgError(
          "ERR_IMG_DENIED",
          `${from.label} records no format for its backing image ${JSON.stringify(name)}, which is to be written`,
          { subject: name },
        );
      }
      const storage = yield* openStorage({ ...reference, writable });
      try {
        const options = { chain, gate, writable, writeProbed, ...(format === undefined ? {} : { format }) };
        return yield* formats.openIo(storage, options);
      } catch (error) {
        yield* closeAfterFailure(storage);
        throw error;
      }
    },
  };
  function* openStorage(reference: Parameters<OpenGate["openStorage"]>[0]): Io<Storage> {
    const storage = yield* inner.openStorage(reference);
    return spec.durable === false && reference.writable ? new UnsyncedStorage(storage) : storage;
  }
  return gate;
}
