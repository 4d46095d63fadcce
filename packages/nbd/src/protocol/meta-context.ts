import { decodeText, WireReader } from "./wire-reader.ts";
import { encodeText, WireWriter } from "./wire-writer.ts";

/** Data of `NBD_OPT_LIST_META_CONTEXT` and `NBD_OPT_SET_META_CONTEXT`. */
export interface MetaContextRequest {
  /** The export's name. */
  readonly name: string;
  /** Names of contexts, or patterns that their namespaces understand. */
  readonly queries: readonly string[];
}

/** Data of `NBD_REP_META_CONTEXT`. */
export interface MetaContextReply {
  /** What extents of this context go by from now on; 0 in lists. */
  readonly id: number;
  readonly name: string;
}

/** The request as data of an option. */
export function serializeMetaContextRequest({ name, queries }: MetaContextRequest): Uint8Array {
  const writer = new WireWriter().sizedText(name).uint32(queries.length);
  for (const query of queries) {
    writer.sizedText(query);
  }
  return writer.finish();
}

/** @throws ImgError `EPROTO` unless the data is exactly one request */
export function parseMetaContextRequest(data: Uint8Array): MetaContextRequest {
  const reader = new WireReader(data, "a request for contexts");
  const name = reader.text(reader.uint32());
  const queries: string[] = [];
  // a count that lies runs out of data at once: every query has four bytes at least
  for (let count = reader.uint32(); count > 0; count--) {
    queries.push(reader.text(reader.uint32()));
  }
  reader.end();
  return { name, queries };
}

/** The reply's data. */
export function serializeMetaContextReply({ id, name }: MetaContextReply): Uint8Array {
  return new WireWriter().uint32(id).bytes(encodeText(name)).finish();
}

/** @throws ImgError `EPROTO` unless the data is such a reply */
export function parseMetaContextReply(data: Uint8Array): MetaContextReply {
  const reader = new WireReader(data, "a context");
  const id = reader.uint32();
  return { id, name: decodeText(reader.bytes(reader.rest), "a context's name") };
}
