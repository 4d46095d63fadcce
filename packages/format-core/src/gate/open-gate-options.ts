import type { FormatAccess } from "../access/format-access.ts";
import { ImgError } from "../errors/img-error.ts";
import type { FormatRegistry } from "../format/format-registry.ts";
import type { Io } from "../io/io.ts";
import { closeAfterFailure } from "../storage-access/close-storage.ts";
import type { ImplicitReference, OpenGate } from "./open-gate.ts";
import type { StorageOpener } from "./storage-opener.ts";

/** What the ready-made gates open with. */
export interface OpenGateOptions {
  /** How storages are opened. */
  readonly opener: StorageOpener;
  /** The formats that backing images may have. */
  readonly formats: FormatRegistry;
  /**
   * What to do with a backing image whose format isn't recorded: `"probe"` guesses it from its contents, `"refuse"` throws
   * `ERR_IMG_DENIED`. Default `"probe"`, which is as safe as the backing image's contents are trustworthy.
   */
  readonly unknownFormat?: "probe" | "refuse";
}

/**
 * Opens the backing image at `location` read-only, with its recorded format or as `options` says, and lets `gate` decide about what
 * that image opens in turn. For gates.
 */
export function* openBackingImage(
  reference: ImplicitReference,
  location: string,
  options: OpenGateOptions,
  gate: OpenGate,
): Io<FormatAccess> {
  const { format } = reference;
  if (format === undefined && options.unknownFormat === "refuse") {
    throw new ImgError(
      "ERR_IMG_DENIED",
      `${reference.from.label} records no format for its backing image ${JSON.stringify(reference.name)}`,
      { subject: reference.name },
    );
  }
  const storage = yield* options.opener.open(location, { writable: false });
  try {
    return yield* options.formats.openIo(storage, {
      chain: reference.chain,
      gate,
      ...(format === undefined ? {} : { format }),
    });
  } catch (error) {
    yield* closeAfterFailure(storage);
    throw error;
  }
}
