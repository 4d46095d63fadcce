import type { FormatAccess } from "../access/format-access.ts";
import { perform, type Io, type MaybePromise } from "../io/io.ts";
import type { Storage } from "../storage/storage.ts";
import type { OpenChain } from "./open-chain.ts";

/** Something that an image wants to open by itself because its header names it. */
export interface ImplicitReference {
  readonly kind: "backing" | "data-file";
  /** As the image spells it. */
  readonly name: string;
  /** The absolute location, as the image's storage resolved the name; the name itself when it couldn't. */
  readonly location: string;
  /** The format that the image records for a backing image. `undefined`: none is recorded, it would have to be guessed. */
  readonly format: string | undefined;
  /** Whether it is to be written (a data file of a writable image; never a backing image). */
  readonly writable: boolean;
  /** The storage of the image that asks. */
  readonly from: Storage;
  /** The images from the one that the user opened to the one that asks. Hand it on when opening an image. */
  readonly chain: OpenChain;
}

/**
 * Decides about everything that an image opens by itself. It may refuse (by throwing, usually `ERR_IMG_DENIED`), open what was asked
 * for, or something else instead. What the user opens explicitly isn't asked about.
 */
export interface OpenGate {
  /** Opens an external data file. The name is data from an image: treat it as a plain location, never as a protocol. */
  openStorage(reference: ImplicitReference): Io<Storage>;
  /** Opens a backing image, its own dependencies included. */
  openImage(reference: ImplicitReference): Io<FormatAccess>;
}

/** Makes a gate out of plain functions. If they answer with promises, it works in the asynchronous world only. */
export function gateFromFunctions(functions: {
  openStorage(reference: ImplicitReference): MaybePromise<Storage>;
  openImage(reference: ImplicitReference): MaybePromise<FormatAccess>;
}): OpenGate {
  return {
    openStorage: (reference) => perform({ label: "the gate", async: () => functions.openStorage(reference) }),
    openImage: (reference) => perform({ label: "the gate", async: () => functions.openImage(reference) }),
  };
}
