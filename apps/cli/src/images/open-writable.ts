import { isImgError, type FormatAccess } from "@img/format-core";
import { openImage } from "@img/operations/node";
import { openFailure } from "../errors/open-failure.ts";
import { printable } from "../output/printable.ts";
import type { Terminal } from "../terminal.ts";
import type { VerbContext } from "../verbs/verb.ts";
import { requireWritable } from "./require-writable.ts";
import { openAtOnce, type SpecifiedImage } from "./open-named.ts";

/**
 * Opens an existing image to write to it, and warns when its format was guessed to be raw. The caller closes it.
 * @param signal - heard where there is something to wait for
 * @throws CommandError in qemu-img's words
 */
export async function openWritable(
  named: SpecifiedImage,
  { terminal, signal }: Pick<VerbContext, "terminal" | "signal">,
): Promise<FormatAccess> {
  requireWritable(named.name, named.unwritable);
  try {
    const spec = { ...named.spec, writable: true, writeProbed: true };
    const image = openAtOnce({ ...named, spec }) ?? (await openImage(spec, { ...named.options, signal }));
    if (image.driver.format === "raw") {
      warnOfGuessedRaw(named, terminal);
    }
    return image;
  } catch (error) {
    throw openFailure(error, named);
  }
}

/** Warns that an image, which is raw, may be something else, unless its format was given. */
export function warnOfGuessedRaw({ spec }: SpecifiedImage, terminal: Terminal): void {
  if (spec.format === undefined) {
    terminal.note(warning(spec.path));
  }
}

function warning(path: string): string {
  return (
    `WARNING: Image format was not specified for '${printable(path)}' and probing guessed raw.\n` +
    "         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n" +
    "         Specify the 'raw' format explicitly to remove the restrictions.\n"
  );
}

/** Closes an image because something failed that is being reported. */
export async function closeAfter(image: FormatAccess): Promise<void> {
  try {
    await image.close();
  } catch (error) {
    if (!isImgError(error)) {
      throw error;
    }
  }
}
