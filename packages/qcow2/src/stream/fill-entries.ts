/** Bytes of an entry. */
const entryLength = 8;

/** A table of 64-bit big-endian entries, each a host offset with flags. */
export interface EntryTable {
  /** Entries; what follows is zero. */
  readonly count: number;
  /** The upper half's flags of every entry that isn't 0. */
  readonly flags: number;
  /** The host offset of an entry, or 0; each is asked for once, in order. */
  offsetAt(index: number): number;
}

/**
 * Fills a part of a table.
 * @param into - zero; whole entries
 * @param position - where in the table it begins, bytes
 */
export function fillEntries(into: Uint8Array, position: number, { count, flags, ...table }: EntryTable): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  const first = position / entryLength;
  const end = Math.min(count - first, into.length / entryLength);
  for (let index = 0; index < end; index++) {
    const offset = table.offsetAt(first + index);
    if (offset !== 0) {
      view.setUint32(index * entryLength, (Math.floor(offset / 0x1_0000_0000) | flags) >>> 0);
      view.setUint32(index * entryLength + 4, offset % 0x1_0000_0000);
    }
  }
}
