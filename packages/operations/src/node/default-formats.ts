import { FormatRegistry } from "@img/format-core";
import { libraryCodecs, qcow2, qcow2With } from "@img/qcow2";
import { raw } from "@img/raw";
import { systemCompression, type NativePolicy } from "@img/storage-fs";

/** What is used for compressed clusters where the native helper may be: libraries of the system, if it has them. */
const systemQcow2 = qcow2With({ codecs: libraryCodecs(systemCompression) });

/**
 * The formats that this family brings: qcow2 and raw.
 *
 * @param images - what is going to be opened: if the native helper isn't to be used for one of them, none is decompressed with it
 */
export function defaultFormats(...images: readonly { readonly native?: NativePolicy }[]): FormatRegistry {
  return new FormatRegistry([images.some(({ native }) => native === "off") ? qcow2 : systemQcow2, raw]);
}
