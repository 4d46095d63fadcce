/** Kinds of zstd blocks that can be written by hand. */
export type ZstdBlock =
  | { readonly kind: "raw"; readonly bytes: Uint8Array }
  | { readonly kind: "rle"; readonly byte: number; readonly length: number };

/** What the header of a hand-made frame claims. */
export interface ZstdFrameClaims {
  /** The window descriptor: exponent in the upper five bits, mantissa in the lower three. Default 0x58: 2 MiB. */
  readonly windowDescriptor?: number;
  /** A content size of eight bytes. Default: none is told. */
  readonly contentSize?: bigint;
  /** Leave out the mark on the last block, so that the frame never ends. Default `false`. */
  readonly endless?: boolean;
}

/** A zstd frame (RFC 8878, section 3.1.1) made by hand, so that it may lie. */
export function zstdFrame(blocks: readonly ZstdBlock[], claims: ZstdFrameClaims = {}): Uint8Array {
  const { contentSize, endless = false } = claims;
  const bytes: number[] = [0x28, 0xb5, 0x2f, 0xfd];
  bytes.push(contentSize === undefined ? 0 : 0xc0, claims.windowDescriptor ?? 0x58);
  for (let shift = 0n; contentSize !== undefined && shift < 64n; shift += 8n) {
    bytes.push(Number((contentSize >> shift) & 0xffn));
  }
  blocks.forEach((block, index) => {
    const last = index === blocks.length - 1 && !endless ? 1 : 0;
    const length = block.kind === "raw" ? block.bytes.length : block.length;
    const header = last + (block.kind === "raw" ? 0 : 1) * 2 + length * 8;
    bytes.push(header & 0xff, (header >> 8) & 0xff, (header >> 16) & 0xff);
    bytes.push(...(block.kind === "raw" ? block.bytes : [block.byte]));
  });
  return Uint8Array.from(bytes);
}

/** A skippable frame (section 3.1.2) that claims to be `length` bytes long and has none of them. */
export function zstdSkippableFrame(length: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x184d2a50, true);
  view.setUint32(4, length, true);
  return bytes;
}
