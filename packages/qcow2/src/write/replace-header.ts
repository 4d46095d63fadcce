import { IoVector, isZero } from "@img/io-vector";
import { alignUp, readStorage, syncStorage, writeStorage, type Io, type Storage } from "@img/format-core";
import { headerLayout, sectorSize } from "../header/layout.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import { serializeHeader, type HeaderContents } from "../header/serialize-header.ts";
import type { HeaderWriter } from "./header-writer.ts";
import { placeAside, type NewHeaderBytes } from "./place-header-aside.ts";
import { usedHeader } from "./used-header.ts";

/** What {@link replaceHeader} works on. */
export interface HeaderPlace {
  readonly storage: Storage;
  readonly header: HeaderWriter;
  /** The header as it is on disk. */
  readonly loaded: LoadedHeader;
  /** Whether nobody knows what the header says on disk. */
  readonly isBroken: () => boolean;
}

/**
 * Replaces the header with all extensions and the backing file's name, durably. The first sector decides: a power cut leaves what was there, or
 * all that is new. What doesn't fit into that sector is written where nothing is in use; where the usual place *is* in use, it is written somewhere else
 * first, and moved when the first sector has changed.
 *
 * @throws ImgError `ERR_IMG_NO_SPACE` when the first cluster has no room for it, or not for both at once; `ERR_IMG_LIMIT` for a name that is too long.
 * Nothing is changed then.
 */
export function* replaceHeader(place: HeaderPlace, next: HeaderContents): Io<void> {
  const { storage, loaded } = place;
  const wanted = newHeaderBytes(next);
  const used = usedHeader(loaded);
  const oldEnd = Math.max(...used.map(({ end }) => end));
  const current = new Uint8Array(alignUp(Math.max(oldEnd, wanted.bytes.length, sectorSize), sectorSize));
  yield* readStorage(storage, IoVector.from(current), 0);
  const isTaken = (end: number): boolean => {
    for (let at = sectorSize; at < end; at++) {
      if (current[at] !== wanted.bytes[at] && used.some((range) => at >= range.start && at < range.end)) {
        return true;
      }
    }
    return false;
  };
  const old = current.slice(0, sectorSize);
  if (isTaken(wanted.bytes.length)) {
    const aside = placeAside(wanted, oldEnd, !isTaken(wanted.name));
    yield* change(place, aside.parts, aside.first, old);
    yield* tidy(place, function* () {
      yield* change(place, [usualPart(wanted)], firstSector(wanted), aside.first);
      yield* clear(storage, wanted.bytes.length, aside.end);
    });
  } else {
    yield* change(place, [usualPart(wanted)], firstSector(wanted), old);
    if (!isZero(current.subarray(wanted.bytes.length))) {
      yield* tidy(place, () => clear(storage, wanted.bytes.length, current.length));
    }
  }
}

function newHeaderBytes(next: HeaderContents): NewHeaderBytes {
  const bytes = serializeHeader(next);
  const name = new DataView(bytes.buffer).getUint32(headerLayout.backingFileOffset + 4);
  const { headerLength, version, clusterBits } = next.header;
  return { bytes, area: headerLength, name: name === 0 ? bytes.length : name, version, clusterSize: 2 ** clusterBits };
}

function usualPart({ bytes }: NewHeaderBytes): { readonly offset: number; readonly bytes: Uint8Array } {
  return { offset: sectorSize, bytes: bytes.slice(sectorSize) };
}

function firstSector({ bytes }: NewHeaderBytes): Uint8Array {
  const first = new Uint8Array(sectorSize);
  first.set(bytes.subarray(0, sectorSize));
  return first;
}

/** Everything that is new counts already: it only isn't where it usually is, or something old is behind it. */
function* tidy(place: HeaderPlace, body: () => Io<void>): Io<void> {
  try {
    yield* body();
  } catch (error) {
    if (place.isBroken()) {
      throw error;
    }
  }
}

/** Writes parts behind the first sector, and then, when they are durable, the first sector. */
function* change(
  { storage, header }: HeaderPlace,
  parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[],
  first: Uint8Array,
  old: Uint8Array,
): Io<void> {
  for (const { offset, bytes } of parts) {
    yield* writeStorage(storage, IoVector.from(bytes), offset);
  }
  yield* syncStorage(storage);
  yield* header.change(
    () => header.setFirstSector(first),
    () => header.setFirstSector(old),
    () => undefined,
  );
}

/** Nothing is there any more: zeroes, as in a new image. */
function* clear(storage: Storage, start: number, end: number): Io<void> {
  if (Math.max(start, sectorSize) < end) {
    yield* writeStorage(
      storage,
      IoVector.from(new Uint8Array(end - Math.max(start, sectorSize))),
      Math.max(start, sectorSize),
    );
  }
}
