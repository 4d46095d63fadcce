import type { StorageLimits } from "@img/format-core";

/** Odd, larger than a page, and not a multiple of anything: offsets made of it are as unaligned as a storage allows. */
const wanted = 4999;

/** The lengths that a suite makes its requests of: as odd as a storage's limits allow. */
export class Grains {
  /** Of reads and writes. */
  readonly request: number;
  /** Of `writeZeroes`; a multiple of the request limit, but not of {@link request}. */
  readonly zero: number;
  /** Of `discard`. */
  readonly discard: number;
  /** The largest of them. */
  readonly largest: number;
  /** The shortest buffer that requests may be made of. */
  readonly smallest: number;

  constructor(limits: StorageLimits) {
    this.smallest = Math.max(limits.request, limits.memory);
    this.request = grain(this.smallest);
    this.zero = grain(Math.max(limits.zero, limits.request));
    this.discard = grain(Math.max(limits.discard, limits.request));
    this.largest = Math.max(this.request, this.zero, this.discard);
  }

  /** Bytes that the storages of a suite begin with, unless a case says otherwise: room for 40 of the largest grains, and a bit. */
  get contents(): number {
    return 40 * this.largest + 3 * this.request;
  }
}

function grain(unit: number): number {
  const units = Math.ceil(wanted / unit);
  return (units % 2 === 0 ? units + 1 : units) * unit;
}
