import type { FormatAccess } from "@img/format-core";
import { addBitmap, clearBitmap, disableBitmap, enableBitmap, mergeBitmap, removeBitmap } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { bitmapFailure } from "../errors/bitmap-failure.ts";
import { imageSpec, openNamed } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { bitmapRequest, type BitmapAction, type BitmapRequest } from "../values/bitmap-request.ts";
import type { VerbContext } from "./verb.ts";

/** `img bitmap`. */
export async function run({ args, terminal }: VerbContext): Promise<number> {
  const request = bitmapRequest(args);
  const image = await openWritable(imageSpec(request.filename, args, args.value("format")), terminal);
  try {
    const source = await openSource(request, args);
    try {
      for (const action of request.actions) {
        await change(image, source, request, action);
      }
    } finally {
      await source?.close();
    }
  } catch (error) {
    await closeAfter(image);
    throw error;
  }
  await image.close();
  return 0;
}

async function openSource(
  { source, sourceFormat }: BitmapRequest,
  args: ParsedArguments,
): Promise<FormatAccess | undefined> {
  // always a file's name, whatever the other one is
  return source === undefined ? undefined : await openNamed(imageSpec(source, args.only("isolated"), sourceFormat));
}

async function change(
  image: FormatAccess,
  source: FormatAccess | undefined,
  { bitmap, granularity }: BitmapRequest,
  action: BitmapAction,
): Promise<void> {
  const merged = action.kind === "merge" ? { name: action.source, image: source ?? image } : undefined;
  try {
    await perform(image, bitmap, granularity, action.kind, merged);
  } catch (error) {
    throw bitmapFailure(error, { action: action.kind, bitmap, granularity, image, source: merged });
  }
}

async function perform(
  image: FormatAccess,
  name: string,
  granularity: number,
  kind: BitmapAction["kind"],
  merged: { readonly name: string; readonly image: FormatAccess } | undefined,
): Promise<void> {
  switch (kind) {
    case "add":
      await addBitmap(image, granularity === 0 ? { name } : { name, granularity });
      return;
    case "remove":
      await removeBitmap(image, name);
      return;
    case "clear":
      await clearBitmap(image, name);
      return;
    case "enable":
      await enableBitmap(image, name);
      return;
    case "disable":
      await disableBitmap(image, name);
      return;
    case "merge":
      await mergeBitmap(image, name, merged ?? { name });
  }
}
