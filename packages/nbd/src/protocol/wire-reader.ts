import { protocolError } from "./protocol-error.ts";
import { stringLimit } from "./handshake-numbers.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the fields of a message that is there as a whole. Every method throws `EPROTO` where it would end past the message's end. */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** @param what - names the message in errors */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  /** Bytes that are left. */
  get rest(): number {
    return this.#bytes.length - this.#at;
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** A 64-bit integer. Above 2^53 the nearest number: good enough to be compared with limits, and to be refused. */
  uint64(): number {
    const at = this.#advance(8);
    return this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  bytes(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  /**
   * A string of `length` bytes: UTF-8 without NUL, at most 4096 bytes.
   * @throws ImgError `EPROTO`; `ERR_IMG_LIMIT` when it is longer than that
   */
  text(length: number): string {
    return decodeText(this.bytes(length), this.#what);
  }

  /** @throws ImgError `EPROTO` unless everything was read. */
  end(): void {
    if (this.rest > 0) {
      throw protocolError(`${this.#what}: ${this.rest} bytes behind its end`);
    }
  }

  #advance(length: number): number {
    if (length > this.rest) {
      throw protocolError(`${this.#what}: a field of ${length} bytes, but ${this.rest} are left`);
    }
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

/**
 * The text of a string from the wire.
 * @throws ImgError `EPROTO` unless it is UTF-8 without NUL of at most 4096 bytes
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  if (bytes.length > stringLimit) {
    throw protocolError(`${what}: a string of ${bytes.length} bytes: expected at most ${stringLimit}`);
  }
  if (bytes.includes(0)) {
    throw protocolError(`${what}: a string with a NUL`);
  }
  try {
    return decoder.decode(bytes);
  } catch {
    throw protocolError(`${what}: a string that isn't UTF-8`);
  }
}
