/** Chunks shorter than this are gathered, so that a peer that sends single bytes costs bytes and not objects. */
const gatherBelow = 8 * 1024;
const gatherLength = 16 * 1024;
/** Longest header that {@link ByteQueue.peek} is asked for. */
const headerLimit = 64;

/**
 * Bytes that were received and not consumed yet. Parsers look at headers in place and take payloads without copying; what isn't
 * complete stays, and is looked at again when more has come. That makes every parser resumable at any byte.
 */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;
  /** Bytes of the first chunk that are consumed. */
  #position = 0;
  #view: DataView | undefined;
  readonly #scratch = new DataView(new ArrayBuffer(headerLimit));
  /** A buffer of ours that small chunks are gathered in; it backs the last chunk while `#gathered` isn't 0. */
  #gather: Uint8Array | undefined;
  #gathered = 0;

  readonly #onConsumed: ((memory: ArrayBufferLike, length: number) => void) | undefined;

  /**
   * @param onConsumed - told how many bytes of which memory aren't looked at any more. Not told: of bytes that {@link take} and {@link takeBytes} have
   * given away without copying
   */
  constructor(onConsumed?: (memory: ArrayBufferLike, length: number) => void) {
    this.#onConsumed = onConsumed;
  }

  /** Where the bytes that {@link peek} was asked for begin in the view that it returned. */
  peekOffset: number = 0;

  /** Bytes that can be taken. */
  get length(): number {
    return this.#length;
  }

  /** Appends `chunk`, which must not be changed afterwards: what is taken may share its memory. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) {
      return;
    }
    if (!this.#extend(chunk)) {
      if (this.#length > 0 && chunk.length < gatherBelow) {
        this.#append(chunk);
        this.#onConsumed?.(chunk.buffer, chunk.length);
      } else {
        this.#chunks.push(chunk);
        this.#gathered = 0;
      }
    }
    this.#length += chunk.length;
  }

  /** Makes one chunk of two that lie behind each other in memory. */
  #extend(chunk: Uint8Array): boolean {
    const index = this.#chunks.length - 1;
    const last = this.#chunks[index];
    if (last?.buffer !== chunk.buffer || last.byteOffset + last.length !== chunk.byteOffset) {
      return false;
    }
    this.#chunks[index] = new Uint8Array(last.buffer, last.byteOffset, last.length + chunk.length);
    if (index === 0) {
      this.#view = undefined;
    }
    return true;
  }

  #append(chunk: Uint8Array): void {
    if (this.#gathered > 0 && this.#gather !== undefined && this.#gathered + chunk.length <= this.#gather.length) {
      const last = this.#chunks.length - 1;
      this.#gather.set(chunk, this.#gathered);
      this.#gathered += chunk.length;
      this.#chunks[last] = this.#gather.subarray(0, this.#gathered);
      if (last === 0) {
        this.#view = undefined;
      }
      return;
    }
    this.#gather = new Uint8Array(gatherLength);
    this.#gather.set(chunk);
    this.#gathered = chunk.length;
    this.#chunks.push(this.#gather.subarray(0, chunk.length));
  }

  /**
   * A view that has the next `length` bytes (at most 64) from {@link peekOffset} on; nothing is consumed. Valid until the queue is used
   * again. `undefined`: there aren't so many yet.
   */
  peek(length: number): DataView | undefined {
    if (this.#length < length) {
      return undefined;
    }
    const first = this.#first();
    if (first.length - this.#position >= length) {
      this.#view ??= new DataView(first.buffer, first.byteOffset, first.byteLength);
      this.peekOffset = this.#position;
      return this.#view;
    }
    let at = 0;
    for (const piece of this.#pieces(length)) {
      for (const byte of piece) {
        this.#scratch.setUint8(at, byte);
        at++;
      }
    }
    this.peekOffset = 0;
    return this.#scratch;
  }

  /** Consumes `length` bytes, which must be there. */
  skip(length: number): void {
    this.#check(length);
    if (this.#onConsumed !== undefined) {
      const first = this.#first();
      if (first.length - this.#position >= length) {
        this.#onConsumed(first.buffer, length);
      } else {
        this.#consumed(this.#pieces(length));
      }
    }
    this.#advance(length);
  }

  /** Consumes `length` bytes, which must be there, and gives them as they came: views, nothing is copied. */
  take(length: number): Uint8Array[] {
    const pieces = this.#pieces(length);
    this.#advance(length);
    return pieces;
  }

  /** Consumes `length` bytes, which must be there, as one piece. Copies only what came in several. */
  takeBytes(length: number): Uint8Array {
    const pieces = this.#pieces(length);
    const [only] = pieces;
    if (pieces.length === 1 && only !== undefined) {
      this.#advance(length);
      return only;
    }
    const bytes = join(pieces, length);
    this.skip(length);
    return bytes;
  }

  /** Consumes as many bytes as `target` takes, at most all that are there, and says how many. */
  copyInto(target: Uint8Array): number {
    const length = Math.min(target.length, this.#length);
    let at = 0;
    for (const piece of this.#pieces(length)) {
      target.set(piece, at);
      at += piece.length;
    }
    this.skip(length);
    return length;
  }

  /** Drops everything. */
  clear(): void {
    this.skip(this.#length);
  }

  #consumed(pieces: readonly Uint8Array[]): void {
    for (const { buffer, length } of pieces) {
      this.#onConsumed?.(buffer, length);
    }
  }

  /** Goes on behind `length` bytes, which are there. */
  #advance(length: number): void {
    this.#length -= length;
    if (this.#length === 0) {
      this.#chunks.length = 0;
      this.#position = 0;
      this.#view = undefined;
      this.#gather = undefined;
      this.#gathered = 0;
      return;
    }
    let rest = length + this.#position;
    let count = 0;
    for (const chunk of this.#chunks) {
      if (rest < chunk.length) {
        break;
      }
      rest -= chunk.length;
      count++;
    }
    if (count > 0) {
      this.#chunks.splice(0, count);
      this.#view = undefined;
    }
    this.#position = rest;
  }

  #pieces(length: number): Uint8Array[] {
    this.#check(length);
    const pieces: Uint8Array[] = [];
    let rest = length;
    let start = this.#position;
    for (const chunk of this.#chunks) {
      if (rest === 0) {
        break;
      }
      const end = Math.min(chunk.length, start + rest);
      pieces.push(chunk.subarray(start, end));
      rest -= end - start;
      start = 0;
    }
    return pieces;
  }

  #first(): Uint8Array {
    return this.#chunks[0] ?? new Uint8Array();
  }

  #check(length: number): void {
    if (length > this.#length) {
      throw new RangeError(`${length} bytes: there are ${this.#length}`);
    }
  }
}

function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
