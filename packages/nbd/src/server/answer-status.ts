import { IoVector } from "@img/io-vector";
import { serializeStatus } from "../protocol/chunk-payload.ts";
import type { NbdRequest } from "../protocol/request.ts";
import { parseStatusFilter } from "../protocol/status-filter.ts";
import { chunkTypes, commandFlags } from "../protocol/transmission-numbers.ts";
import { statusOf } from "./block-status.ts";
import { checkRange, type RequestFault } from "./check-request.ts";
import { blockSizeOf } from "./export-features.ts";
import type { Negotiated } from "./handshake.ts";
import type { NbdMetaContext } from "./nbd-export.ts";
import type { ReplyMaker } from "./reply-maker.ts";
import type { Region } from "./reply-memory.ts";

/** A range, and the contexts that are asked about it. */
interface AskedStatus {
  readonly length: number;
  readonly byId: ReadonlyMap<number, NbdMetaContext>;
}

/**
 * The whole answer to a BLOCK_STATUS: a chunk for each context, or what is wrong with the request.
 * @param payload - the filter, if the request has one
 */
export async function answerStatus(
  request: NbdRequest,
  payload: readonly Uint8Array[],
  negotiated: Negotiated,
  maker: ReplyMaker,
): Promise<readonly Region[] | RequestFault> {
  const asked = statusAsked(request, payload, negotiated);
  if ("error" in asked) {
    return asked;
  }
  const extended = maker.style === "extended";
  const one = (request.flags & commandFlags.reqOne) !== 0;
  const { minimum } = blockSizeOf(negotiated.export);
  const question = { offset: request.offset, length: asked.length, one, minimum };
  const payloads: Uint8Array[] = [];
  for (const [id, context] of asked.byId) {
    const extents = await statusOf(context, question, extended);
    payloads.push(serializeStatus({ id, extents }, extended));
  }
  const type = extended ? chunkTypes.blockStatusExtended : chunkTypes.blockStatus;
  return payloads.map((bytes, index) => maker.chunk(request, type, bytes, index === payloads.length - 1));
}

function statusAsked(
  request: NbdRequest,
  payload: readonly Uint8Array[],
  negotiated: Negotiated,
): RequestFault | AskedStatus {
  const selected = negotiated.contexts?.byId;
  if (selected === undefined || selected.size === 0) {
    return invalid("no contexts are selected");
  }
  return (request.flags & commandFlags.payloadLength) === 0
    ? { length: request.length, byId: selected }
    : filterContexts(request, IoVector.from(payload), selected, negotiated);
}

function filterContexts(
  request: NbdRequest,
  payload: IoVector,
  selected: ReadonlyMap<number, NbdMetaContext>,
  negotiated: Negotiated,
): RequestFault | AskedStatus {
  if (payload.length < 12 || payload.length % 4 !== 0 || payload.length > 8 + 4 * selected.size) {
    return invalid(`a filter of contexts of ${payload.length} bytes`);
  }
  const bytes = new Uint8Array(payload.length);
  payload.copyIntoSlice(bytes);
  const { length, ids } = parseStatusFilter(bytes);
  const byId = new Map<number, NbdMetaContext>();
  for (const id of ids) {
    const context = selected.get(id);
    if (context === undefined || byId.has(id)) {
      return invalid(`context ${id} in a filter: unknown, or there twice`);
    }
    byId.set(id, context);
  }
  return checkRange({ offset: request.offset, length, type: request.type }, negotiated, "EINVAL") ?? { length, byId };
}

function invalid(message: string): RequestFault {
  return { error: "EINVAL", message };
}
