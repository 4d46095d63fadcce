import { codecs as defaultCodecs } from "#codecs";
import {
  closeAfterFailure,
  denyAll,
  ImgError,
  OpenChain,
  type FormatAccess,
  type Io,
  type Storage,
} from "@img/format-core";
import { loadHeader, type LoadedHeader } from "../header/load-header.ts";
import { entryLayout, l2CacheSizeFor, sliceLengthFor } from "../image-tables.ts";
import { Qcow2Image } from "../qcow2-image.ts";
import type { Qcow2Info } from "../qcow2-info.ts";
import { findSnapshot } from "../snapshots/find-snapshot.ts";
import { ImageWriter } from "../write/image-writer.ts";
import { loadInfo } from "./load-info.ts";
import { locateBacking } from "./locate-reference.ts";
import type { Qcow2OpenOptions } from "./open-options.ts";

const defaultRefcountCacheSize = 1024 * 1024;
const defaultBitmapMemory = 64 * 1024 * 1024;

/** Opens a qcow2 image; see `qcow2.open`. */
export function* openImage(storage: Storage, options: Qcow2OpenOptions): Io<Qcow2Image> {
  const chain = (options.chain ?? new OpenChain()).enter(storage);
  const loaded = yield* loadHeader(storage);
  const info = yield* loadInfo(storage, loaded);
  const inspect = options.inspect === true;
  const writable = options.writable === true && !inspect;
  if (!inspect) {
    refuseUnreadable(storage, info);
  }
  if (writable) {
    refuseUnwritable(storage, info, options);
  }
  const snapshot = options.snapshot === undefined ? undefined : findSnapshot(info.snapshots, options.snapshot);
  const dataFile = inspect ? null : yield* openDataFile(storage, info, options, chain);
  let backing: FormatAccess | null = null;
  try {
    backing = inspect ? null : yield* openBacking(storage, info, options, chain);
    const reopenWriter = (current: LoadedHeader, now: Qcow2Info): Io<ImageWriter> =>
      openWriter(storage, dataFile, current, now, options);
    const writer = writable ? yield* reopenWriter(loaded, info) : undefined;
    return new Qcow2Image({
      storage,
      dataFile,
      backing,
      ownsBacking: options.backing === undefined,
      header: loaded.header,
      extensions: loaded.extensions,
      info,
      inspect,
      snapshot,
      codec: (type) => options.codecs?.[type] ?? defaultCodecs[type],
      l2CacheSize: options.l2CacheSize,
      clusterCacheSize: options.clusterCacheSize,
      writer,
      openWriter: reopenWriter,
    });
  } catch (error) {
    if (backing !== null && backing !== options.backing) {
      yield* closeImageAfterFailure(backing);
    }
    if (dataFile !== null && dataFile !== options.dataFile) {
      yield* closeAfterFailure(dataFile);
    }
    throw error;
  }
}

/** Closes an image because something else failed: that failure is what the caller hears of. */
function* closeImageAfterFailure(image: FormatAccess): Io<void> {
  try {
    yield* image.io.close();
  } catch {
    // the first failure is being reported
  }
}

function refuseUnreadable(storage: Storage, info: Qcow2Info): void {
  if (info.encryption !== "none") {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${storage.label} is encrypted (${info.encryption === "aes" ? "AES" : "LUKS"}): its contents can't be read`,
      { feature: "encryption", subject: storage.label },
    );
  }
}

function refuseUnwritable(storage: Storage, info: Qcow2Info, options: Qcow2OpenOptions): void {
  if (options.snapshot !== undefined) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${storage.label}: a snapshot can't be written`);
  }
  if (options.discardNoUnref === true && info.version === 2) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${storage.label} is a version 2 image, which can't mark discarded clusters as zero and keep them`,
      { feature: "discard without unref" },
    );
  }
  if (info.corrupt) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `${storage.label} is marked as corrupt: it has to be repaired before it is written`,
    );
  }
  if (info.dirty) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `${storage.label} was not closed properly, and its refcounts are out of date: it has to be repaired before it is written`,
    );
  }
}

function* openWriter(
  storage: Storage,
  dataFile: Storage | null,
  loaded: LoadedHeader,
  info: Qcow2Info,
  options: Qcow2OpenOptions,
): Io<ImageWriter> {
  const layout = entryLayout(loaded.header);
  return yield* ImageWriter.open({
    storage,
    dataFile,
    loaded,
    snapshots: info.snapshots,
    bitmaps: info.bitmaps,
    layout,
    sliceLength: sliceLengthFor(layout.clusterSize),
    options: {
      overlapCheck: options.overlapCheck ?? "cached",
      discardNoUnref: options.discardNoUnref ?? false,
      passDiscards: options.passDiscards ?? true,
      l2CacheSize: l2CacheSizeFor(info.virtualSize, layout, options.l2CacheSize),
      refcountCacheSize: options.refcountCacheSize ?? defaultRefcountCacheSize,
      bitmapMemory: options.bitmapMemory ?? defaultBitmapMemory,
    },
  });
}

function* openDataFile(
  storage: Storage,
  info: Qcow2Info,
  options: Qcow2OpenOptions,
  chain: OpenChain,
): Io<Storage | null> {
  const given = options.dataFile;
  if (!info.externalDataFile) {
    if (given !== undefined && given !== null) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${storage.label} has no external data file, but was given one`);
    }
    return null;
  }
  if (given !== undefined && given !== null) {
    return given;
  }
  if (given === null) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${storage.label} can't be read without its external data file`, {
      feature: "external data file",
    });
  }
  const name = info.dataFile;
  if (name === undefined) {
    throw new ImgError("ERR_IMG_CORRUPT", `${storage.label} needs an external data file, but names none`);
  }
  return yield* (options.gate ?? denyAll).openStorage({
    kind: "data-file",
    name,
    // a plain name, whatever it looks like: CVE-2024-4467
    location: storage.resolve?.(name) ?? name,
    format: "raw",
    writable: options.writable === true,
    from: storage,
    chain,
  });
}

function* openBacking(
  storage: Storage,
  info: Qcow2Info,
  options: Qcow2OpenOptions,
  chain: OpenChain,
): Io<FormatAccess | null> {
  if (options.backing !== undefined) {
    return options.backing;
  }
  const name = info.backingFile;
  if (name === undefined) {
    return null;
  }
  return yield* (options.gate ?? denyAll).openImage({
    kind: "backing",
    name,
    location: locateBacking(storage, name),
    format: options.backingFormat ?? info.backingFormat,
    writable: false,
    from: storage,
    chain,
  });
}
