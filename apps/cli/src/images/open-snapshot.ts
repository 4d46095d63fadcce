import { isImgError, type FormatAccess } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";
import { openNamed, type SpecifiedImage } from "./open-named.ts";

/** {@link openNamed} for an image whose snapshot may be asked for: says so when there is no such snapshot. */
export async function openSnapshot(named: SpecifiedImage, signal: AbortSignal): Promise<FormatAccess> {
  try {
    return await openNamed(named, signal);
  } catch (error) {
    if (named.spec.snapshot === undefined || !(error instanceof CommandError)) {
      throw error;
    }
    const { cause } = error;
    if (isImgError(cause, "ERR_IMG_OUT_OF_RANGE")) {
      throw new CommandError("Failed to load snapshot: Can't find snapshot", { hint: cause.message, cause });
    }
    if (isImgError(cause, "ERR_IMG_UNSUPPORTED") && cause.message.endsWith(" no snapshots")) {
      throw new CommandError(
        `Failed to load snapshot: Block format '${named.spec.format ?? "raw"}' used by device '' does not support ` +
          "temporarily loading internal snapshots",
        { cause },
      );
    }
    throw error;
  }
}
