/** One header extension. */
export interface RawExtension {
  readonly type: number;
  readonly data: Uint8Array;
  /** The length that it claims. Default: what it has. */
  readonly claims?: number;
  /** What fills it up to a multiple of 8. Default 0. */
  readonly padding?: number;
}

/** Extensions behind each other, without an end marker. */
export function extensionBytes(...extensions: readonly RawExtension[]): Uint8Array {
  const parts: number[] = [];
  for (const { type, data, claims = data.length, padding = 0 } of extensions) {
    parts.push(...uint32(type), ...uint32(claims), ...data);
    while (parts.length % 8 !== 0) {
      parts.push(padding);
    }
  }
  return Uint8Array.from(parts);
}

/** One entry of a feature name table: 48 bytes. */
export function featureNameBytes(kind: number, bit: number, name: string): Uint8Array {
  const bytes = new Uint8Array(48);
  bytes[0] = kind;
  bytes[1] = bit;
  bytes.set(text(name).subarray(0, 46), 2);
  return bytes;
}

/** The data of a bitmaps extension. */
export function bitmapsExtension(
  count: number,
  size: number | bigint,
  offset: number | bigint,
  reserved = 0,
): Uint8Array {
  return concat(Uint8Array.from([...uint32(count), ...uint32(reserved)]), uint64(size), uint64(offset));
}

/** UTF-8. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** A 64-bit big-endian integer. */
export function uint64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** All parts in one. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

function uint32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
