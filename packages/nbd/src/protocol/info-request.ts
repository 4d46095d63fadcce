import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";

/** Data of `NBD_OPT_INFO` and `NBD_OPT_GO`. */
export interface InfoRequest {
  /** The export's name; empty: the default one. */
  readonly name: string;
  /** Which of `infoTypes` the client wants to know. Others are ignored. */
  readonly infos: readonly number[];
}

/** The request as data of an option. */
export function serializeInfoRequest({ name, infos }: InfoRequest): Uint8Array {
  const writer = new WireWriter().sizedText(name).uint16(infos.length);
  for (const info of infos) {
    writer.uint16(info);
  }
  return writer.finish();
}

/** @throws ImgError `EPROTO` unless the data is exactly one request */
export function parseInfoRequest(data: Uint8Array): InfoRequest {
  const reader = new WireReader(data, "a request for an export's information");
  const name = reader.text(reader.uint32());
  const infos: number[] = [];
  for (let count = reader.uint16(); count > 0; count--) {
    infos.push(reader.uint16());
  }
  reader.end();
  return { name, infos };
}
