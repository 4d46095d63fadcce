/** Sets bits `first` … `last`; bit 0 is the lowest of byte 0. */
export function setBits(bytes: Uint8Array, first: number, last: number): void {
  const [from, to] = [first >>> 3, last >>> 3];
  const head = (0xff << (first & 7)) & 0xff;
  const tail = 0xff >>> (7 - (last & 7));
  if (from === to) {
    bytes[from] = (bytes[from] ?? 0) | (head & tail);
    return;
  }
  bytes[from] = (bytes[from] ?? 0) | head;
  bytes.fill(0xff, from + 1, to);
  bytes[to] = (bytes[to] ?? 0) | tail;
}

/** Clears all bits from `first` on. */
export function clearBitsFrom(bytes: Uint8Array, first: number): void {
  const at = Math.ceil(first / 8);
  if (first % 8 !== 0) {
    bytes[at - 1] = (bytes[at - 1] ?? 0) & (0xff >>> (8 - (first & 7)));
  }
  bytes.fill(0, at);
}

/** Whether bit `index` is set. */
export function hasBit(bytes: Uint8Array, index: number): boolean {
  return (((bytes[index >>> 3] ?? 0) >>> (index & 7)) & 1) === 1;
}

/** Where the run of equal bits that begins at `first` ends: the first bit that differs, or `end`. */
export function runEnd(bytes: Uint8Array, first: number, end: number): number {
  const set = hasBit(bytes, first);
  const same = set ? 0xff : 0;
  let at = first;
  while (at < end) {
    if ((at & 7) === 0 && bytes[at >>> 3] === same) {
      at += 8;
    } else if (hasBit(bytes, at) === set) {
      at++;
    } else {
      return at;
    }
  }
  return end;
}
