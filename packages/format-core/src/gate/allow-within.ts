import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import type { ImplicitReference, OpenGate } from "./open-gate.ts";
import { openBackingImage, type OpenGateOptions } from "./open-gate-options.ts";

/**
 * The gate that opens only what lies in `directory` or below, after links and `..` are resolved.
 *
 * **Risk**: everything in the directory is readable to whoever makes an image there, and may be named as the (writable) data file of a
 * writable image. Between the check and the opening, somebody who can write to the directory could swap a file for a link.
 *
 * @param directory - an absolute location of the opener's kind
 */
export function allowWithin(directory: string, options: OpenGateOptions): OpenGate {
  function* permitted(reference: ImplicitReference): Io<string> {
    const root = yield* options.opener.canonical(directory);
    const location = yield* options.opener.canonical(reference.location);
    if (!location.startsWith(root.endsWith("/") ? root : `${root}/`)) {
      throw new ImgError(
        "ERR_IMG_DENIED",
        `${reference.from.label} wants to open ${JSON.stringify(reference.name)}, which lies outside of ${root}`,
        { subject: reference.name },
      );
    }
    return location;
  }
  const gate: OpenGate = {
    *openStorage(reference) {
      const location = yield* permitted(reference);
      return yield* options.opener.open(location, { writable: reference.writable });
    },
    *openImage(reference) {
      const location = yield* permitted(reference);
      return yield* openBackingImage(reference, location, options, gate);
    },
  };
  return gate;
}
