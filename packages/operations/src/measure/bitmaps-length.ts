import { alignUp, type FormatAccess, type JsonValue } from "@img/format-core";

type JsonObject = Readonly<Record<string, JsonValue>>;

/** Bytes of a directory entry without its name (qcow2 specification, "Bitmap directory"). */
const directoryEntrySize = 24;

/**
 * Bytes that the image's persistent dirty bitmaps take in a new qcow2 image, were they all allocated. `undefined` when the image can't
 * have any.
 */
export function bitmapsLength(image: FormatAccess | undefined, clusterSize: number): number | undefined {
  const specific = image?.driver.describe?.().specific;
  if (image === undefined || specific?.type !== "qcow2" || specific.data["compat"] === "0.10") {
    return undefined;
  }
  let [contents, directory] = [0, 0];
  for (const bitmap of listOf(specific.data["bitmaps"])) {
    const { name, granularity, flags } = bitmap;
    // one that was in use when its image was last written has no valid contents, and isn't copied
    if (typeof name !== "string" || typeof granularity !== "number" || includes(flags, "in-use")) {
      continue;
    }
    const clusters = Math.ceil(Math.ceil(image.size / granularity) / 8 / clusterSize);
    contents += clusters * clusterSize + alignUp(clusters * 8, clusterSize);
    directory += alignUp(directoryEntrySize + new TextEncoder().encode(name).length, 8);
  }
  return contents + alignUp(directory, clusterSize);
}

function listOf(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? (value as readonly JsonObject[]) : [];
}

function includes(flags: JsonValue | undefined, flag: string): boolean {
  return Array.isArray(flags) && flags.includes(flag);
}
