import { hex, ImgError } from "@img/format-core";
import {
  checkReserved,
  compressedCluster,
  compressedFlag,
  copiedFlag,
  entryOffset,
  entryText,
  offsetMaskLow,
  zeroFlag,
  type L2EntryLayout,
} from "../tables/l2-entry.ts";
import { subclusterCount } from "../header/layout.ts";

/** What an L2 entry says about (a part of) a guest cluster. */
export type PieceKind = "data" | "zero" | "unallocated" | "compressed";

/**
 * The part of a guest cluster from some offset on that is of one kind: the whole rest of it, or, with extended L2 entries, as many
 * subclusters as are alike.
 *
 * Mutable and reused: decoding an entry makes no object.
 */
export class Piece {
  kind: PieceKind = "unallocated";
  /** A host range belongs to the piece: always for data, sometimes for zero and unallocated ones. */
  hasHost = false;
  /** Host offset of the piece's first byte, if {@link hasHost}. For a compressed cluster, where the compressed data begins. */
  host = 0;
  /** Bytes that the data of a compressed cluster takes at most. */
  compressedLength = 0;
  /** Bytes of guest disk from the piece's first byte to its end. */
  length = 0;
  /** The host cluster may be written in place. */
  copied = false;

  /**
   * Decodes the entry at `index`.
   * @param view - the slice that the entry is in
   * @param index - the entry's index in the slice
   * @param within - offset into the guest cluster, bytes
   * @param guest - guest offset of the cluster, for checks and messages
   * @throws ImgError `ERR_IMG_CORRUPT` for an impossible entry
   */
  decode(view: DataView, index: number, within: number, guest: number, layout: L2EntryLayout): void {
    const at = index * layout.entryLength;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    try {
      if ((high & compressedFlag) !== 0) {
        this.#compressed(high, low, within, layout);
        if (layout.extended) {
          checkNoBitmap(view.getUint32(at + 8), view.getUint32(at + 12));
        }
      } else if (layout.extended) {
        this.#extended(high, low, view.getUint32(at + 8), view.getUint32(at + 12), within, guest, layout);
      } else {
        this.#standard(high, low, within, guest, layout);
      }
    } catch (error) {
      if (error instanceof ImgError) {
        throw new ImgError(error.code, `guest offset ${hex(guest)}: ${error.message}`, { cause: error });
      }
      throw error;
    }
  }

  #compressed(high: number, low: number, within: number, layout: L2EntryLayout): void {
    if (layout.externalDataFile) {
      throw corrupt(`L2 entry ${entryText(high, low)}: a compressed cluster in an image with an external data file`);
    }
    if ((high & copiedFlag) !== 0) {
      throw corrupt(`L2 entry ${entryText(high, low)}: a compressed cluster with the COPIED flag`);
    }
    this.kind = "compressed";
    this.hasHost = false;
    const place = compressedCluster(high, low, layout.clusterBits);
    this.host = place.offset;
    this.compressedLength = place.length;
    this.length = layout.clusterSize - within;
    this.copied = false;
  }

  #standard(high: number, low: number, within: number, guest: number, layout: L2EntryLayout): void {
    this.#place(high, low, within, guest, layout);
    this.length = layout.clusterSize - within;
    if ((low & zeroFlag) !== 0) {
      this.kind = "zero";
      // for a zero cluster, host offset 0 means "none" in a data file too
      this.hasHost &&= this.host !== within;
    } else {
      this.kind = this.hasHost ? "data" : "unallocated";
    }
  }

  #extended(
    high: number,
    low: number,
    zeroes: number,
    allocated: number,
    within: number,
    guest: number,
    layout: L2EntryLayout,
  ): void {
    this.#place(high, low, within, guest, layout);
    if ((zeroes & allocated) !== 0) {
      throw corrupt(`subclusters are marked as zero and as allocated: ${entryText(zeroes, allocated)}`);
    }
    if (!this.hasHost && allocated !== 0) {
      throw corrupt(`subclusters are marked as allocated, but the cluster isn't: ${entryText(zeroes, allocated)}`);
    }
    const size = layout.clusterSize / subclusterCount;
    const first = Math.floor(within / size);
    const isZero = bit(zeroes, first);
    const isAllocated = bit(allocated, first);
    let next = first + 1;
    while (next < subclusterCount && bit(zeroes, next) === isZero && bit(allocated, next) === isAllocated) {
      next++;
    }
    this.kind = isZero ? "zero" : isAllocated ? "data" : "unallocated";
    this.length = next * size - within;
  }

  /** Takes the host offset out of an uncompressed entry. */
  #place(high: number, low: number, within: number, guest: number, layout: L2EntryLayout): void {
    checkReserved(high, low, layout);
    const offset = entryOffset(high, low);
    this.copied = (high & copiedFlag) !== 0;
    // in a data file, guest cluster 0 is at host offset 0, which elsewhere means "none"
    this.hasHost = offset !== 0 || (layout.externalDataFile && this.copied);
    if (this.hasHost) {
      if ((low & (layout.clusterSize - 1) & offsetMaskLow) !== 0) {
        throw corrupt(`data cluster at host offset ${hex(offset)}: not cluster-aligned`);
      }
      if (layout.externalDataFile && offset !== guest) {
        throw corrupt(`data cluster at offset ${hex(offset)} of the data file: expected ${hex(guest)}`);
      }
    }
    this.host = offset + within;
  }
}

function bit(bits: number, index: number): boolean {
  return ((bits >>> index) & 1) === 1;
}

function checkNoBitmap(zeroes: number, allocated: number): void {
  if (zeroes !== 0 || allocated !== 0) {
    throw corrupt(`a compressed cluster has subclusters: ${entryText(zeroes, allocated)}`);
  }
}

function corrupt(message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", message);
}
