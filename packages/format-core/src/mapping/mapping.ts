import type { FormatAccess } from "../access/format-access.ts";
import type { GuestOffset, HostOffset } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";

/** A place in a storage. */
export interface HostPlace {
  readonly storage: Storage;
  readonly offset: HostOffset;
}

/** The bytes lie in a storage and can be read there as they are. */
export interface RawMapping extends HostPlace {
  readonly kind: "raw";
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** Whether writing them in place is right: the image is writable and nobody else (a snapshot) shares them. */
  readonly writable: boolean;
}

/** The range reads as zero. */
export interface ZeroMapping {
  readonly kind: "zero";
  readonly length: number;
  /** The layer says so itself, rather than being merely unallocated with nothing below. */
  readonly explicit: boolean;
  /** The host range that is reserved for the guest range although its bytes aren't what the guest reads. */
  readonly reserved?: HostPlace;
}

/** Only the driver can read the range: compressed or encrypted. */
export interface SpecialMapping {
  readonly kind: "special";
  /** Where the range begins in the layer that reads it. */
  readonly offset: GuestOffset;
  readonly length: number;
  readonly compressed: boolean;
}

/** The offset lies at or past the end of the disk. */
export interface EofMapping {
  readonly kind: "eof";
  readonly length: 0;
}

/** The range is not in this layer; look below. */
export interface IndirectMapping {
  readonly kind: "indirect";
  readonly layer: FormatAccess;
  /** Where the range begins in the layer below. */
  readonly offset: GuestOffset;
  readonly length: number;
  /** Whether the layer below may be written through this mapping (never for a backing image). */
  readonly writable: boolean;
  /** As in {@link ZeroMapping.reserved}. */
  readonly reserved?: HostPlace;
}

/**
 * What one layer says about a guest range. `length` counts from the asked offset and may exceed what was asked for; it is 0 for
 * `eof` only.
 */
export type ShallowMapping = RawMapping | IndirectMapping | ZeroMapping | SpecialMapping | EofMapping;

/** A {@link ShallowMapping} resolved through all layers. */
export type Mapping = (RawMapping | ZeroMapping | (SpecialMapping & { readonly layer: FormatAccess }) | EofMapping) & {
  /** How many layers down the range was found; 0 is the image itself. */
  readonly depth: number;
};

/** A mapping, and the guest range that it is for. */
export type PlacedMapping = Mapping & {
  /** Where the range begins in the image that was asked. */
  readonly guestOffset: GuestOffset;
};
