import {
  FormatAccess,
  guestOffset,
  type FormatDriver,
  type GuestOffset,
  type Io,
  type ShallowMapping,
} from "@img/format-core";

/** A part of another image's disk, as a disk of its own that can be read. */
class WindowImage implements FormatDriver {
  // no format of its own: bytes are what they are, and the last sector is filled up like a raw image's
  readonly format = "raw";
  readonly size: number;
  readonly writable = false;
  readonly storages = [];
  readonly backing: FormatAccess;
  readonly #offset: number;

  constructor(image: FormatAccess, offset: number, length: number) {
    this.backing = image;
    this.#offset = offset;
    this.size = length;
  }

  peekMapping(offset: GuestOffset): ShallowMapping {
    const length = this.size - offset;
    return length <= 0
      ? { kind: "eof", length: 0 }
      : {
          kind: "indirect",
          layer: this.backing,
          offset: guestOffset(this.#offset + offset),
          length,
          writable: false,
        };
  }

  *getMapping(offset: GuestOffset): Io<ShallowMapping> {
    return this.peekMapping(offset);
  }

  *flush(): Io<void> {
    // nothing is ever written
  }

  *sync(): Io<void> {
    // as above
  }

  *close(): Io<void> {
    // the image belongs to the caller
  }

  toString(): string {
    return `${String(this.backing)} from ${String(this.#offset)}`;
  }
}

/**
 * The bytes `[offset, offset + length)` of an image's disk, to be read as a disk. Closing it leaves the image open.
 * @param offset - bytes; what lies behind the image's end reads as zero
 */
export function windowOf(image: FormatAccess, offset: number, length: number): FormatAccess {
  return new FormatAccess(new WindowImage(image, offset, length));
}
