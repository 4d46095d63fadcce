import { decodeText, extensionTypes, parseExtensions, parseFeatureNames, type HeaderExtension } from "@img/qcow2";
import type { DumpRow, DumpSection } from "./dump-section.ts";
import { extensionsStart, type RawHeader } from "./raw-header.ts";
import type { RawImageFile } from "./raw-image-file.ts";
import { tableGeometry } from "./table-geometry.ts";

/** The header's fields, and the name of the backing file that stands behind them. */
export function dumpHeader(file: RawImageFile, header: RawHeader): DumpSection {
  const rows: DumpRow[] = header.fields.map(({ offset, field, value, meaning }) => ({ offset, field, value, meaning }));
  const [nameOffset, nameLength] = [header.value("backing_file_offset"), header.value("backing_file_size")];
  if (nameOffset !== 0n) {
    const name = file.read(nameOffset, Math.min(Number(nameLength), 1023));
    const meaning = new TextDecoder().decode(name);
    rows.push({ offset: nameOffset, field: "backing file name", meaning });
  }
  return {
    title: "Header:",
    facts: { table: "header", version: header.version },
    columns: [
      { key: "offset", width: 8, hex: true },
      { key: "field", width: 24 },
      { key: "value", width: 20, hex: true },
      { key: "meaning", width: 0 },
    ],
    rows,
  };
}

/**
 * The header extensions.
 * @throws ImgError when one is longer than the area that they stand in
 */
export function dumpExtensions(file: RawImageFile, header: RawHeader): DumpSection {
  const { clusterSize } = tableGeometry(header);
  const nameOffset = Number(header.value("backing_file_offset"));
  const end = nameOffset === 0 ? clusterSize : Math.min(nameOffset, clusterSize);
  const area = file.read(0, clusterSize);
  const extensions = parseExtensions(new Uint8Array(area.buffer), extensionsStart(header), end) ?? [];
  return {
    title: "Header extensions:",
    facts: { table: "extensions" },
    columns: [
      { key: "offset", width: 8, hex: true },
      { key: "type", width: 12, hex: true },
      { key: "name", width: 22 },
      { key: "length", width: 8 },
      { key: "contents", width: 0 },
    ],
    rows: extensions.map((extension) => ({
      offset: extension.offset,
      type: extension.type,
      name: nameOf(extension.type),
      length: extension.data.length,
      contents: contentsOf(extension),
    })),
  };
}

function nameOf(type: number): string {
  switch (type) {
    case extensionTypes.backingFormat:
      return "backing file format";
    case extensionTypes.featureNames:
      return "feature name table";
    case extensionTypes.bitmaps:
      return "bitmaps";
    case extensionTypes.crypto:
      return "encryption header";
    case extensionTypes.dataFile:
      return "data file name";
    default:
      return "unknown";
  }
}

function contentsOf({ type, data }: HeaderExtension): string {
  switch (type) {
    case extensionTypes.backingFormat:
    case extensionTypes.dataFile:
      return decodeText(data);
    case extensionTypes.featureNames:
      return parseFeatureNames(data)
        .map(({ kind, bit, name }) => `${kind} ${String(bit)}: ${name}`)
        .join("; ");
    default:
      return hexBytes(data);
  }
}

function hexBytes(data: Uint8Array): string {
  const shown = Array.from(data.subarray(0, 64), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return data.length > 64 ? `${shown}…` : shown;
}
