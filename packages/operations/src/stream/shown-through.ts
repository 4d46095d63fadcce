import {
  FormatAccess,
  guestOffset,
  type FormatDriver,
  type GuestOffset,
  type Io,
  type ShallowMapping,
} from "@img/format-core";

/** An image with nothing in it on top of another one. */
class EmptyOverlay implements FormatDriver {
  readonly format = "overlay";
  readonly size: number;
  readonly writable = false;
  readonly storages = [];
  readonly backing: FormatAccess;
  readonly compressedBlockSize: number;

  constructor(backing: FormatAccess, size: number, block: number) {
    this.backing = backing;
    this.size = size;
    this.compressedBlockSize = block;
  }

  peekMapping(offset: GuestOffset): ShallowMapping {
    const length = this.size - offset;
    return length <= 0
      ? { kind: "eof", length: 0 }
      : { kind: "indirect", layer: this.backing, offset: guestOffset(offset), length, writable: false };
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
    // what is below belongs to the caller
  }

  toString(): string {
    return `an empty image on ${String(this.backing)}`;
  }
}

/**
 * What an image of `size` bytes with nothing in it shows on top of `backing`. Needn't be closed.
 * @param block - bytes in which it would be allocated
 */
export function shownThrough(backing: FormatAccess, size: number, block: number): FormatAccess {
  return new FormatAccess(new EmptyOverlay(backing, size, block));
}
