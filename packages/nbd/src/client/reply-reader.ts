import type { ByteQueue } from "../protocol/byte-queue.ts";
import { parseError, parseHole } from "../protocol/chunk-payload.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import { parseReply, type ChunkHeader, type ReplyStyle, type SimpleReply } from "../protocol/reply.ts";
import { chunkDone, chunkErrorBit, chunkTypes, commands } from "../protocol/transmission-numbers.ts";
import type { PendingRequest } from "./pending-request.ts";
import { requestError } from "./request-error.ts";

/** Bytes of an error chunk: a number, a message of 4096 bytes, an offset. */
const errorLimit = 4 + 2 + 4096 + 8;

/** Where a {@link ReplyReader} finds requests. */
export interface RequestTable {
  /** The request that a reply names. @throws ImgError `EPROTO` when there is none */
  find(reply: SimpleReply | ChunkHeader): PendingRequest;
  /** The request is answered: as it went, unless {@link PendingRequest.error} is set. */
  finish(request: PendingRequest, reply: SimpleReply | ChunkHeader): void;
}

/**
 * Takes replies out of what a server sends, and checks that they answer what was asked: known requests only, every byte once, nothing else. Data goes
 * straight to where the caller wants it, as it comes.
 */
export class ReplyReader {
  readonly #queue: ByteQueue;
  readonly #style: ReplyStyle;
  readonly #table: RequestTable;
  readonly #label: string;
  /** Takes the payload of the reply that has begun; `true`: it was all there. */
  #payload: (() => boolean) | undefined;

  constructor(queue: ByteQueue, style: ReplyStyle, table: RequestTable, label: string) {
    this.#queue = queue;
    this.#style = style;
    this.#table = table;
    this.#label = label;
  }

  /** Takes everything that is there. @throws ImgError `EPROTO` or `ERR_IMG_LIMIT` for what isn't as it has to be: nothing can be believed any more */
  consume(): void {
    for (;;) {
      if (this.#payload !== undefined) {
        if (!this.#payload()) {
          return;
        }
        this.#payload = undefined;
      }
      const reply = parseReply(this.#queue, this.#style);
      if (reply === undefined) {
        return;
      }
      const request = this.#table.find(reply);
      this.#payload = reply.kind === "simple" ? this.#simple(request, reply) : this.#chunk(request, reply);
    }
  }

  #simple(request: PendingRequest, reply: SimpleReply): () => boolean {
    const { data } = request;
    if (request.isBegun) {
      throw protocolError("a simple reply behind chunks");
    }
    if (reply.error !== 0) {
      request.error = requestError(request, reply.error, "", this.#label);
    } else if (request.type === commands.blockStatus) {
      throw protocolError("a simple reply to a question about extents");
    } else if (data !== undefined) {
      data.begin(request.offset, request.length);
      return () => data.fill(this.#queue) && this.#finish(request, reply);
    }
    return () => this.#finish(request, reply);
  }

  #chunk(request: PendingRequest, chunk: ChunkHeader): () => boolean {
    if (this.#style === "extended" && chunk.offset !== request.offset) {
      throw protocolError(`a chunk for a request at ${chunk.offset}, which was at ${request.offset}`);
    }
    request.isBegun = true;
    const take = this.#content(request, chunk);
    if ((chunk.flags & chunkDone) === 0) {
      return take;
    }
    return () => take() && this.#finish(request, chunk);
  }

  /** What takes a chunk's payload. */
  #content(request: PendingRequest, chunk: ChunkHeader): () => boolean {
    const { data, status } = request;
    const { type, length, flags } = chunk;
    if (type === chunkTypes.none && length === 0 && (flags & chunkDone) !== 0) {
      return () => true;
    }
    if (type === chunkTypes.offsetData && data !== undefined && length > 8) {
      return this.#dataChunk(request, length);
    }
    if (type === chunkTypes.offsetHole && data !== undefined && length === 12) {
      return this.#small(length, (payload) => {
        const hole = parseHole(payload);
        data.zero(hole.offset, hole.length);
      });
    }
    if (type === this.#statusType && status !== undefined) {
      status.checkLength(length);
      return () => status.fill(this.#queue, length);
    }
    if (type >= chunkErrorBit && length <= errorLimit) {
      return this.#small(length, (payload) => {
        const { error, message } = parseError(payload, type);
        request.error ??= requestError(request, error, message, this.#label);
      });
    }
    throw protocolError(`a chunk of type ${type} with ${length} bytes in the answer to command ${request.type}`);
  }

  get #statusType(): number {
    return this.#style === "extended" ? chunkTypes.blockStatusExtended : chunkTypes.blockStatus;
  }

  #dataChunk({ data }: PendingRequest, length: number): () => boolean {
    let begun = false;
    return () => {
      if (!begun) {
        const view = this.#queue.peek(8);
        if (view === undefined) {
          return false;
        }
        const at = this.#queue.peekOffset;
        data?.begin(view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4), length - 8);
        this.#queue.skip(8);
        begun = true;
      }
      return data?.fill(this.#queue) ?? true;
    };
  }

  /** Takes a payload that is short enough to be waited for as a whole. */
  #small(length: number, take: (payload: Uint8Array) => void): () => boolean {
    return () => {
      if (this.#queue.length < length) {
        return false;
      }
      take(this.#queue.takeBytes(length));
      return true;
    };
  }

  #finish(request: PendingRequest, reply: SimpleReply | ChunkHeader): true {
    if (request.error === undefined && request.data?.isComplete === false) {
      throw protocolError(`a read of ${request.length} bytes at ${request.offset} was answered in part`);
    }
    this.#table.finish(request, reply);
    return true;
  }
}
