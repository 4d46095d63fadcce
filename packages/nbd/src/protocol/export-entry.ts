import { decodeText, WireReader } from "./wire-reader.ts";
import { encodeText, WireWriter } from "./wire-writer.ts";

/** Data of `NBD_REP_SERVER`: an export that a server lists. */
export interface ExportEntry {
  readonly name: string;
  /** For people; maybe empty. */
  readonly description: string;
}

/** An entry as data of a reply. */
export function serializeExportEntry({ name, description }: ExportEntry): Uint8Array {
  return new WireWriter().sizedText(name).bytes(encodeText(description)).finish();
}

/** @throws ImgError `EPROTO` unless the data is an entry */
export function parseExportEntry(data: Uint8Array): ExportEntry {
  const reader = new WireReader(data, "an entry of a list of exports");
  const name = reader.text(reader.uint32());
  return { name, description: decodeText(reader.bytes(reader.rest), "an export's description") };
}
