import { ImgError } from "../errors/img-error.ts";
import type { ImplicitReference, OpenGate } from "./open-gate.ts";

/** The gate that lets an image open nothing by itself: the default everywhere. */
export const denyAll: OpenGate = {
  // generators, although nothing is ever yielded: refusing is all they do

  *openStorage(reference) {
    throw denied(reference);
  },

  *openImage(reference) {
    throw denied(reference);
  },
};

function denied(reference: ImplicitReference): ImgError {
  const what = reference.kind === "backing" ? "backing image" : "data file";
  return new ImgError(
    "ERR_IMG_DENIED",
    `${reference.from.label} wants to open its ${what} ${JSON.stringify(reference.name)}: no gate allows it`,
    { subject: reference.name },
  );
}
