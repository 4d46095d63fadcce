import { concat, text } from "./extension-bytes.ts";

/** An entry of a snapshot table, as it is to stand in the image: nothing is checked. */
export interface SnapshotFields {
  readonly id: string;
  readonly name: string;
  readonly l1TableOffset: number | bigint;
  readonly l1Size: number;
  readonly dateSeconds?: number;
  readonly dateNanoseconds?: number;
  readonly vmClock?: bigint;
  /** The 32-bit field. */
  readonly vmStateSize?: number;
  /** Extra data, complete. Default: none. */
  readonly extra?: Uint8Array;
  /** The length of extra data that it claims. Default: what it has. */
  readonly claimsExtra?: number;
}

/** The bytes of one entry, padded to a multiple of 8. */
export function snapshotBytes(fields: SnapshotFields): Uint8Array {
  const { extra = new Uint8Array(0) } = fields;
  const id = text(fields.id);
  const name = text(fields.name);
  const head = new Uint8Array(40);
  const view = new DataView(head.buffer);
  view.setBigUint64(0, BigInt(fields.l1TableOffset));
  view.setUint32(8, fields.l1Size);
  view.setUint16(12, id.length);
  view.setUint16(14, name.length);
  view.setUint32(16, fields.dateSeconds ?? 0);
  view.setUint32(20, fields.dateNanoseconds ?? 0);
  view.setBigUint64(24, fields.vmClock ?? 0n);
  view.setUint32(32, fields.vmStateSize ?? 0);
  view.setUint32(36, fields.claimsExtra ?? extra.length);
  const length = head.length + extra.length + id.length + name.length;
  return concat(head, extra, id, name, new Uint8Array((8 - (length % 8)) % 8));
}

/** Extra data: the sizes that version 3 asks for, then the instruction count, then whatever else. */
export function snapshotExtra(
  vmStateSize: number | bigint,
  diskSize: number | bigint,
  icount?: bigint,
  ...more: readonly number[]
): Uint8Array {
  const bytes = new Uint8Array((icount === undefined ? 16 : 24) + more.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(vmStateSize));
  view.setBigUint64(8, BigInt(diskSize));
  if (icount !== undefined) {
    view.setBigUint64(16, icount);
    bytes.set(more, 24);
  }
  return bytes;
}
