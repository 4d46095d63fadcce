import { IoVector } from "@img/io-vector";
import { ImgError, readStorage, syncStorage, writeStorage, type Io, type Storage } from "@img/format-core";
import { extensionTypes, type HeaderExtension } from "../../header/extensions.ts";
import { autoclear, hasFeature, type FeatureBits } from "../../header/features.ts";
import type { BitmapsExtension } from "../../header/known-extensions.ts";
import { headerLayout, sectorSize } from "../../header/layout.ts";
import { loadHeader, type LoadedHeader } from "../../header/load-header.ts";

const headLength = 8;
const dataLength = 24;

/** The header of an image whose bitmaps are changed. */
export interface ExtensionTarget {
  readonly storage: Storage;
  /** Changes the header's autoclear bits, durably. */
  setAutoclear(features: FeatureBits): Io<void>;
}

/**
 * Points the header at another bitmap directory, which is durable; `undefined`: there are no bitmaps any more. Each write is of one sector, or of bytes
 * that mean nothing yet: a power cut leaves the old bitmaps or the new ones. Where the extension itself lies across two sectors, it may leave none.
 * @throws ImgError `ERR_IMG_NO_SPACE` when the first cluster has no room
 */
export function* setBitmapsExtension(target: ExtensionTarget, place: BitmapsExtension | undefined): Io<void> {
  const { storage } = target;
  const loaded = yield* loadHeader(storage);
  const present = loaded.extensions.filter(({ type }) => type === extensionTypes.bitmaps).at(-1);
  if (place === undefined) {
    yield* setVouched(target, loaded, false);
    yield* forget(storage, loaded, present);
    return;
  }
  const data = serialize(place);
  if (present?.data.length !== dataLength) {
    yield* append(storage, loaded, data);
  } else {
    const at = present.offset + headLength;
    const torn = Math.floor(at / sectorSize) !== Math.floor((at + dataLength - 1) / sectorSize);
    if (torn) {
      yield* setVouched(target, loaded, false);
    }
    yield* write(storage, data, at);
  }
  yield* setVouched(target, yield* loadHeader(storage), true);
}

/** Says whether somebody vouches for the bitmaps. */
function* setVouched(target: ExtensionTarget, { header }: LoadedHeader, on: boolean): Io<void> {
  if (hasFeature(header.autoclearFeatures, autoclear.bitmaps) !== on) {
    const { high, low } = header.autoclearFeatures;
    const mask = 1 << autoclear.bitmaps;
    yield* target.setAutoclear({ high, low: (on ? low | mask : low & ~mask) >>> 0 });
  }
}

/** The last extension becomes the end; another one stays, and means nothing. */
function* forget(storage: Storage, loaded: LoadedHeader, present: HeaderExtension | undefined): Io<void> {
  if (present !== undefined && present === loaded.extensions.at(-1)) {
    yield* write(storage, new Uint8Array(headLength), present.offset);
  }
}

/** Puts the extension where the end marker is, and the backing file's name out of its way. */
function* append(storage: Storage, loaded: LoadedHeader, data: Uint8Array): Io<void> {
  const { header, extensions } = loaded;
  const last = extensions.at(-1);
  const start = last === undefined ? header.headerLength : last.offset + headLength + roundUp(last.data.length);
  const end = start + headLength + dataLength + headLength;
  if (end > 2 ** header.clusterBits || start % 8 !== 0) {
    throw noRoom();
  }
  yield* moveBackingName(storage, loaded, start, end);
  const bytes = new Uint8Array(end - start);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, dataLength);
  bytes.set(data, headLength);
  // still the end: its type is written last
  yield* write(storage, bytes, start);
  view.setUint32(0, extensionTypes.bitmaps);
  yield* write(storage, bytes.subarray(0, headLength), start);
}

function* moveBackingName(storage: Storage, { header }: LoadedHeader, start: number, end: number): Io<void> {
  const { backingFileOffset: offset, backingFileSize: length } = header;
  if (offset === 0 || offset >= end) {
    return;
  }
  const moved = Math.max(end, offset + length);
  // without an end marker, the name is what ends the extensions
  if (moved + length > 2 ** header.clusterBits || offset < start + headLength) {
    throw noRoom();
  }
  const name = new Uint8Array(length);
  yield* readStorage(storage, IoVector.from(name), offset);
  yield* write(storage, name, moved);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(4, moved);
  yield* write(storage, bytes, headerLayout.backingFileOffset);
}

function* write(storage: Storage, bytes: Uint8Array, offset: number): Io<void> {
  yield* writeStorage(storage, IoVector.from(bytes), offset);
  yield* syncStorage(storage);
}

function serialize({ count, directorySize, directoryOffset }: BitmapsExtension): Uint8Array {
  const bytes = new Uint8Array(dataLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, count);
  view.setUint32(8, Math.floor(directorySize / 0x1_0000_0000));
  view.setUint32(12, directorySize % 0x1_0000_0000);
  view.setUint32(16, Math.floor(directoryOffset / 0x1_0000_0000));
  view.setUint32(20, directoryOffset % 0x1_0000_0000);
  return bytes;
}

function roundUp(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function noRoom(): ImgError {
  return new ImgError("ERR_IMG_NO_SPACE", "the first cluster has no room for the bitmaps' header extension");
}
