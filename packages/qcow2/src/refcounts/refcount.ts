/**
 * The refcount at `index` of a refcount block. Widths below a byte are packed with the lowest index in the lowest bits; wider ones
 * are big-endian (qcow2 specification, "Refcount table and refcount blocks").
 * @param order - refcounts are 2^order bits wide, 0 … 6
 * @returns exact up to 2^53
 */
export function refcountAt(view: DataView, index: number, order: number): number {
  switch (order) {
    case 3:
      return view.getUint8(index);
    case 4:
      return view.getUint16(index * 2);
    case 5:
      return view.getUint32(index * 4);
    case 6:
      return view.getUint32(index * 8) * 0x1_0000_0000 + view.getUint32(index * 8 + 4);
    default: {
      const width = 1 << order;
      const perByte = 8 >> order;
      const byte = view.getUint8(Math.floor(index / perByte));
      return (byte >>> ((index % perByte) * width)) & ((1 << width) - 1);
    }
  }
}
