import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** Type of the header extension that records the backing image's format. */
const backingFormatExtension = 0xe2792aca;

/**
 * Makes a qcow2 file forget the format of its backing image, which the tools no longer leave out themselves: the extension becomes one of
 * an unknown type, which everybody has to ignore.
 * @throws Error when the file records none
 */
export function forgetBackingFormat(path: string): void {
  const file = openSync(path, "r+");
  try {
    const header = Buffer.alloc(4096);
    readSync(file, header, 0, header.length, 0);
    let at = header.readUInt32BE(4) === 2 ? 72 : header.readUInt32BE(100);
    while (header.readUInt32BE(at) !== backingFormatExtension) {
      if (header.readUInt32BE(at) === 0) {
        throw new Error(`${path} records no backing format`);
      }
      at += 8 + Math.ceil(header.readUInt32BE(at + 4) / 8) * 8;
    }
    writeSync(file, Buffer.from([0x75, 0x6e, 0x6b, 0x6e]), 0, 4, at);
  } finally {
    closeSync(file);
  }
}
