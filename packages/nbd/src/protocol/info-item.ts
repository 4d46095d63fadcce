import { infoTypes } from "./handshake-numbers.ts";
import { decodeText, WireReader } from "./wire-reader.ts";
import { encodeText, WireWriter } from "./wire-writer.ts";

/** Sizes of requests that a server wants, in bytes. */
export interface BlockSizes {
  /** Offsets and lengths are multiples of it: a power of two up to 65536. */
  readonly minimum: number;
  /** Best for speed: a power of two, at least 512 and `minimum`. */
  readonly preferred: number;
  /** Most bytes that one request carries; 0xffffffff: any. */
  readonly maximum: number;
}

/** Data of `NBD_REP_INFO`: something about an export. */
export type InfoItem =
  | {
      readonly kind: "export";
      /** Bytes; above 2^53 the nearest number. */
      readonly size: number;
      /** `transmissionFlags` */
      readonly flags: number;
    }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "description"; readonly description: string }
  | ({ readonly kind: "blockSize" } & BlockSizes)
  | { readonly kind: "unknown"; readonly type: number };

/** An item as data of a reply. */
export function serializeInfoItem(item: Exclude<InfoItem, { kind: "unknown" }>): Uint8Array {
  const writer = new WireWriter();
  switch (item.kind) {
    case "export":
      return writer.uint16(infoTypes.export).uint64(item.size).uint16(item.flags).finish();
    case "name":
      return writer.uint16(infoTypes.name).bytes(encodeText(item.name)).finish();
    case "description":
      return writer.uint16(infoTypes.description).bytes(encodeText(item.description)).finish();
    case "blockSize":
      return writer
        .uint16(infoTypes.blockSize)
        .uint32(item.minimum)
        .uint32(item.preferred)
        .uint32(item.maximum)
        .finish();
  }
}

/** @throws ImgError `EPROTO` unless the data is exactly one item; one of an unknown type is `unknown` */
export function parseInfoItem(data: Uint8Array): InfoItem {
  const reader = new WireReader(data, "information about an export");
  const type = reader.uint16();
  const item = parseKind(reader, type);
  if (item.kind !== "unknown") {
    reader.end();
  }
  return item;
}

function parseKind(reader: WireReader, type: number): InfoItem {
  switch (type) {
    case infoTypes.export:
      return { kind: "export", size: reader.uint64(), flags: reader.uint16() };
    case infoTypes.name:
      return { kind: "name", name: decodeText(reader.bytes(reader.rest), "an export's name") };
    case infoTypes.description:
      return { kind: "description", description: decodeText(reader.bytes(reader.rest), "an export's description") };
    case infoTypes.blockSize:
      return { kind: "blockSize", minimum: reader.uint32(), preferred: reader.uint32(), maximum: reader.uint32() };
    default:
      return { kind: "unknown", type };
  }
}
