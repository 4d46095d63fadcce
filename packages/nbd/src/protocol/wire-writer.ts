import { stringLimit } from "./handshake-numbers.ts";

const encoder = new TextEncoder();

/** Makes a small message, field by field. */
export class WireWriter {
  #bytes = new Uint8Array(64);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  uint16(value: number): this {
    // the place comes first: growing replaces the buffer
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }

  uint32(value: number): this {
    // the place comes first: growing replaces the buffer
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** @throws RangeError unless `value` is a safe integer ≥ 0. */
  uint64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${value}: expected an integer from 0 to 2^53-1`);
    }
    return this.uint32(Math.floor(value / 0x1_0000_0000)).uint32(value % 0x1_0000_0000);
  }

  /** A 64-bit constant. */
  magic([high, low]: readonly [high: number, low: number]): this {
    return this.uint32(high).uint32(low);
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A string with its length in 32 bits before it. */
  sizedText(text: string): this {
    const bytes = encodeText(text);
    return this.uint32(bytes.length).bytes(bytes);
  }

  /** What was written. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length)));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/**
 * `text` as a string of the protocol.
 * @throws RangeError when it has a NUL or more than 4096 bytes
 */
export function encodeText(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length > stringLimit || bytes.includes(0)) {
    throw new RangeError(`a string of ${bytes.length} bytes: expected at most ${stringLimit}, and no NUL`);
  }
  return bytes;
}

/** `text` cut to at most `limit` bytes, between characters, and without NULs: for messages and echoed names. */
export function clipText(text: string, limit: number): Uint8Array {
  const bytes = new Uint8Array(limit);
  const { written } = encoder.encodeInto(text.replaceAll("\0", "␀"), bytes);
  return bytes.subarray(0, written);
}
