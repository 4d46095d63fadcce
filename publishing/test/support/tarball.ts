import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A file of a package as it is published. */
export interface PackedFile {
  /** Relative to the package, with `/`. */
  readonly path: string;
  readonly mode: number;
  readonly bytes: Buffer;
}

const BLOCK = 512;

/**
 * The files of an npm tarball by their paths.
 *
 * @throws Error for anything but plain files below `package/`: neither links nor directories belong into one
 */
export function readTarball(tarball: string): Map<string, PackedFile> {
  const archive = gunzipSync(readFileSync(tarball));
  const files = new Map<string, PackedFile>();
  let longPath: string | undefined;
  for (let offset = 0; offset + BLOCK <= archive.length && archive[offset] !== 0;) {
    const header = archive.subarray(offset, offset + BLOCK);
    const size = octal(header, 124, 12);
    const bytes = archive.subarray(offset + BLOCK, offset + BLOCK + size);
    offset += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const type = text(header, 156, 1);
    if (type === "x") {
      longPath = /^\d+ path=(.*)$/m.exec(bytes.toString("utf8"))?.[1];
      continue;
    }
    const prefix = text(header, 345, 155);
    const path = longPath ?? `${prefix === "" ? "" : `${prefix}/`}${text(header, 0, 100)}`;
    longPath = undefined;
    if (!["0", ""].includes(type) || !path.startsWith("package/")) throw new Error(`${tarball}: ${type} ${path}`);
    const name = path.slice("package/".length);
    files.set(name, { path: name, mode: octal(header, 100, 8), bytes });
  }
  return files;
}

function text(header: Buffer, start: number, length: number): string {
  return header.toString("utf8", start, start + length).replace(/\0[^]*$/, "");
}

function octal(header: Buffer, start: number, length: number): number {
  return Number.parseInt(text(header, start, length).trim(), 8);
}
