import type { LoadedHeader } from "../header/load-header.ts";

/** Type and length of a header extension, and the end marker. */
const headLength = 8;

/** A part of the first cluster, bytes. */
interface HeaderRange {
  readonly start: number;
  readonly end: number;
}

/** The parts of the first cluster that mean something: fields and extensions up to their end marker, and the backing file's name. */
export function usedHeader({ header, extensions }: LoadedHeader): readonly HeaderRange[] {
  const { backingFileOffset, backingFileSize, clusterBits, headerLength } = header;
  const last = extensions.at(-1);
  const marker = last === undefined ? headerLength : last.offset + headLength + Math.ceil(last.data.length / 8) * 8;
  const limit = backingFileOffset === 0 ? 2 ** clusterBits : backingFileOffset;
  const area = { start: 0, end: Math.max(headerLength, Math.min(marker + headLength, limit)) };
  return backingFileOffset === 0
    ? [area]
    : [area, { start: backingFileOffset, end: backingFileOffset + backingFileSize }];
}
