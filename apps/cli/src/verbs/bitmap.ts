import type { FormatAccess } from "@img/format-core";
import { addBitmap, clearBitmap, disableBitmap, enableBitmap, mergeBitmap, removeBitmap } from "@img/operations";
import { bitmapFailure } from "../errors/bitmap-failure.ts";
import { imageSpec, openNamed } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { bitmapRequest, type BitmapAction, type BitmapRequest } from "../values/bitmap-request.ts";
import type { VerbContext } from "./verb.ts";

/** `img bitmap`. */
export async function run(context: VerbContext): Promise<number> {
  const { args } = context;
  const request = bitmapRequest(args);
  const image = await openWritable(imageSpec(request.filename, args, args.value("format")), context);
  try {
    const source = await openSource(request, context);
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
  { args, signal }: VerbContext,
): Promise<FormatAccess | undefined> {
  if (source === undefined) {
    return undefined;
  }
  // always a file's name, whatever the other one is
  return await openNamed(imageSpec(source, args.only("isolated"), sourceFormat), signal);
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
