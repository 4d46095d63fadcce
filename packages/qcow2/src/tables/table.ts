/** A table, or a part of one, as it stands in the image: big-endian bytes, decoded entry by entry when asked for. */
export class Table {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
