import { CommandError, openFailure, requireWritable, type SpecifiedImage } from "@img/cli";
import { isImgError, type FormatAccess } from "@img/format-core";
import { formatExport, type NbdExport } from "@img/nbd";
import { openImage, type ImageSpec } from "@img/operations/node";
import type { ExportTraits } from "./export-plan.ts";
import type { OpenedExport } from "./opened-export.ts";
import { bitmapContexts } from "./bitmap-contexts.ts";
import { detectZeroes } from "./detect-zeroes.ts";
import { scratchOverlay } from "./scratch-overlay.ts";
import { windowExport } from "./window-export.ts";
import { writeThrough } from "./write-through.ts";

/** An open export, and the image that it shows. */
export interface OpenedImage extends OpenedExport {
  readonly access: FormatAccess;
  /** Nobody can write only because nobody has said which format it is. */
  readonly guarded: boolean;
}

/**
 * Opens an image and makes an export of it.
 * @throws CommandError in the words of `img`
 */
export async function openExport(image: SpecifiedImage, traits: ExportTraits): Promise<OpenedImage> {
  const fixed = traits.readOnly || traits.scratch || traits.snapshot !== undefined;
  const guarded = !fixed && image.spec.format === undefined;
  const base = await open(image, traits, !fixed && !guarded);
  try {
    return { ...(await exported(base, traits)), access: base, guarded };
  } catch (error) {
    await base.close();
    throw openFailure(error, image);
  }
}

async function open(image: SpecifiedImage, traits: ExportTraits, writable: boolean): Promise<FormatAccess> {
  const { use, snapshot } = traits;
  const spec: ImageSpec = {
    ...image.spec,
    blocking: "cached",
    writable,
    ...(use.direct ? { direct: true } : {}),
    ...(use.durable ? {} : { durable: false }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
  if (writable) {
    requireWritable(image.name, image.unwritable);
  }
  try {
    return await openImage(spec, image.options);
  } catch (error) {
    if (snapshot !== undefined && isImgError(error, "ERR_IMG_OUT_OF_RANGE")) {
      throw new CommandError("Failed to load snapshot: Can't find snapshot", { hint: error.message, cause: error });
    }
    throw openFailure(error, image);
  }
}

async function exported(base: FormatAccess, traits: ExportTraits): Promise<OpenedExport> {
  const contexts = bitmapContexts(base, traits);
  const overlay = traits.scratch && !traits.readOnly ? await scratchOverlay(base) : undefined;
  const shown = overlay ?? base;
  const { use, description, allocationDepth, offset } = traits;
  const whole: NbdExport = formatExport(shown, {
    ...(description === undefined ? {} : { description }),
    ...(traits.tlsRequired ? { tlsRequired: true } : {}),
    allocationDepth,
    discard: use.discard,
    contexts,
  });
  // nobody finds again what is in an overlay: there is nothing to make durable
  const settled: NbdExport = overlay === undefined ? whole : { ...whole, flush: () => undefined };
  const careful = use.writeThrough ? writeThrough(settled) : settled;
  const frugal = use.detectZeroes === "off" ? careful : detectZeroes(careful, use.detectZeroes === "on");
  const close = async (): Promise<void> => {
    try {
      await overlay?.close();
    } finally {
      await base.close();
    }
  };
  return { export: windowExport(frugal, offset, base.size - offset), close };
}
