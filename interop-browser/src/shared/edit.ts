/** One change to a disk, as data, so that a page, a worker and a test do the same. Offsets and lengths are bytes. */
export type Edit =
  | { readonly kind: "text"; readonly offset: number; readonly text: string }
  | { readonly kind: "fill"; readonly offset: number; readonly length: number; readonly seed: number }
  | { readonly kind: "compressed"; readonly offset: number; readonly length: number; readonly seed: number }
  | { readonly kind: "zeroes"; readonly offset: number; readonly length: number }
  | { readonly kind: "discard"; readonly offset: number; readonly length: number };

/** What an edit puts on the disk; for `zeroes` and `discard`, zeroes. */
export function editBytes(edit: Edit): Uint8Array {
  switch (edit.kind) {
    case "text":
      return new TextEncoder().encode(edit.text);
    case "fill":
      return noise(edit.length, edit.seed);
    case "compressed":
      return stripes(edit.length, edit.seed);
    case "zeroes":
    case "discard":
      return new Uint8Array(edit.length);
  }
}

/** Bytes of the disk that an edit covers. */
export function editLength(edit: Edit): number {
  return edit.kind === "text" ? new TextEncoder().encode(edit.text).length : edit.length;
}

/** Bytes that don't compress. */
function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    // xorshift: any 32-bit generator that never gets to 0 will do
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

/** Bytes that compress well. */
function stripes(length: number, seed: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => seed + Math.floor(at / 1000));
}
