import type { OpenGate } from "./open-gate.ts";
import { openBackingImage, type OpenGateOptions } from "./open-gate-options.ts";

/**
 * The gate that opens everything an image asks for: any file that the process may read, and, for the data file of a writable image, write.
 *
 * **Risk**: whoever made the image chooses these files. Use it only for images that you made or trust; use {@link allowWithin} otherwise.
 */
export function allowAll(options: OpenGateOptions): OpenGate {
  const gate: OpenGate = {
    openStorage: (reference) => options.opener.open(reference.location, { writable: reference.writable }),
    openImage: (reference) => openBackingImage(reference, reference.location, options, gate),
  };
  return gate;
}
