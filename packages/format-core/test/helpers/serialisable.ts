/** A write of one byte value over a range; values are unique among the writes of a test. */
export interface MarkedWrite {
  readonly offset: number;
  readonly length: number;
  readonly mark: number;
}

/**
 * Whether `contents` is what the writes leave behind when done one after the other, in any order, on bytes that are `before`.
 */
export function isSerialisable(contents: Uint8Array, before: number, writes: readonly MarkedWrite[]): boolean {
  const live = writes.filter(({ length }) => length > 0);
  const after = new Map<MarkedWrite, Set<MarkedWrite>>(live.map((write) => [write, new Set()]));
  for (const [at, byte] of contents.entries()) {
    const here = live.filter(({ offset, length }) => offset <= at && at < offset + length);
    const shown = here.find(({ mark }) => mark === byte);
    if (shown === undefined) {
      if (here.length > 0 || byte !== before) return false;
      continue;
    }
    for (const other of here) {
      if (other !== shown) after.get(shown)!.add(other);
    }
  }
  // take away whoever comes after nobody, until nothing is left
  const left = new Set(live);
  for (;;) {
    const first = [...left].find((write) => [...after.get(write)!].every((other) => !left.has(other)));
    if (first === undefined) return left.size === 0;
    left.delete(first);
  }
}
