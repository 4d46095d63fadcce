import type { NbdRequest } from "../protocol/request.ts";
import { replyLength, writeChunkHeader, writeSimpleReply, type ReplyStyle } from "../protocol/reply.ts";
import { serializeError } from "../protocol/chunk-payload.ts";
import { chunkDone, chunkTypes, errorNumbers } from "../protocol/transmission-numbers.ts";
import type { RequestFault } from "./check-request.ts";
import type { Region, ReplyMemory } from "./reply-memory.ts";

/** Bytes of the offset in a chunk of data, between its header and the data. */
const offsetLength = 8;

/** Puts replies into memory, in the style that was agreed on. */
export class ReplyMaker {
  readonly style: ReplyStyle;
  readonly #memory: ReplyMemory;
  readonly #chunkLength: number;
  readonly #extended: boolean;

  constructor(memory: ReplyMemory, style: ReplyStyle) {
    this.#memory = memory;
    this.style = style;
    this.#extended = style === "extended";
    this.#chunkLength = this.#extended ? replyLength.extended : replyLength.structured;
  }

  /** The answer to a request that worked and has no data. */
  done(request: NbdRequest): Region {
    if (this.style === "simple") {
      return this.#simple(request, 0);
    }
    const region = this.#memory.take(this.#chunkLength);
    const chunk = { flags: chunkDone, type: chunkTypes.none, length: 0 };
    writeChunkHeader(region.slab.view, region.start, request, chunk, this.#extended);
    return region;
  }

  /** The answer to a request that failed. */
  failed(request: NbdRequest, { error, message }: RequestFault): Region {
    if (this.style === "simple") {
      // EOVERFLOW and the like are for those who have asked for what needs it
      return this.#simple(request, errorNumbers[error]);
    }
    return this.chunk(request, chunkTypes.error, serializeError({ error: errorNumbers[error], message }), true);
  }

  /** A chunk with a small payload. @param last - whether it is the reply's last one */
  chunk(request: NbdRequest, type: number, payload: Uint8Array, last: boolean): Region {
    const region = this.#memory.take(this.#chunkLength + payload.length);
    const chunk = { flags: last ? chunkDone : 0, type, length: payload.length };
    writeChunkHeader(region.slab.view, region.start, request, chunk, this.#extended);
    region.slab.memory.set(payload, region.start + this.#chunkLength);
    return region;
  }

  /**
   * Room for `length` bytes that were read, with the header before them. The header says what it says when the data is there:
   * if reading fails, the region is given back.
   * @param last - whether it is the reply's last chunk
   */
  data(request: NbdRequest, offset: number, length: number, last: boolean): Region {
    if (this.style === "simple") {
      const region = this.#memory.take(replyLength.simple, length);
      writeSimpleReply(region.slab.view, region.start, request, 0);
      return region;
    }
    const region = this.#memory.take(this.#chunkLength + offsetLength, length);
    const { view } = region.slab;
    const chunk = { flags: last ? chunkDone : 0, type: chunkTypes.offsetData, length: offsetLength + length };
    writeChunkHeader(view, region.start, request, chunk, this.#extended);
    view.setUint32(region.start + this.#chunkLength, Math.floor(offset / 0x1_0000_0000));
    view.setUint32(region.start + this.#chunkLength + 4, offset % 0x1_0000_0000);
    return region;
  }

  #simple(request: NbdRequest, error: number): Region {
    const region = this.#memory.take(replyLength.simple);
    writeSimpleReply(region.slab.view, region.start, request, error);
    return region;
  }
}
