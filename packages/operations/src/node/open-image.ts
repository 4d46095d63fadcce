import {
  closeAfterFailure,
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatRegistry,
  type Io,
  type OpenGate,
  type RegistryOpenOptions,
  type Storage,
} from "@img/format-core";
import type { Qcow2OpenOptions } from "@img/qcow2";
import type { RawOpenOptions } from "@img/raw";
import { abortable } from "../abortable.ts";
import { watchRegions } from "../filters/watch-regions.ts";
import { closesWith } from "./closes-with.ts";
import { defaultFormats } from "./default-formats.ts";
import { fileOptions } from "./file-options.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openFile } from "./open-file.ts";
import { openGate } from "./open-gate.ts";
import { openerOf } from "./opener-of.ts";
import { UnsyncedStorage } from "./unsynced-storage.ts";

/** Options of {@link openImage}. */
export interface OpenImageOptions extends AbortOptions {
  /** The formats that the image, and those below, may have. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** All options that our formats have; each takes those it knows. */
type AllOpenOptions = RegistryOpenOptions & Qcow2OpenOptions & RawOpenOptions;

/**
 * Opens an image that lies in a file.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when `spec` asks for something that the image's format doesn't have; else as `FileStorage.open` and
 * `FormatRegistry.open`
 */
export function openImage(spec: ImageSpec, options: OpenImageOptions = {}): Promise<FormatAccess> {
  return runAsync(openImageIo(spec, options));
}

/** {@link openImage} in the synchronous world. */
export function openImageSync(spec: ImageSpec, options: OpenImageOptions = {}): FormatAccess {
  return runSync(openImageIo(spec, options));
}

/** {@link openImage} for use inside other operations. */
export function* openImageIo(spec: ImageSpec, options: OpenImageOptions = {}): Io<FormatAccess> {
  const formats = options.formats ?? defaultFormats(spec);
  return yield* abortable(openImageThrough(spec, formats, openGate(spec, formats)), options.signal);
}

/** {@link openImage} with another gate than the one that `spec` describes. */
export function* openImageThrough(spec: ImageSpec, formats: FormatRegistry, gate: OpenGate): Io<FormatAccess> {
  const file = yield* openStorage(spec.path, spec);
  const storage = spec.durable === false ? new UnsyncedStorage(file) : file;
  let backing: FormatAccess | undefined;
  try {
    const format = spec.format ?? (yield* formats.probeIo(storage)).format.name;
    checkAsked(spec, formats.get(format).name);
    if (spec.backing !== undefined && spec.backing !== null) {
      backing = yield* openImageIo(spec.backing, { formats });
    }
    const image = yield* openWith({ formats, gate, storage, spec, backing });
    if (spec.inspect !== true) {
      yield* watchRegions(storage, image.driver);
    }
    return image;
  } catch (error) {
    yield* closeAfterFailure(storage);
    if (backing !== undefined) {
      yield* backing.io.close();
    }
    throw error;
  }
}

/** Opens what lies at `path` the way `spec` says. */
function* openStorage(path: string, spec: ImageSpec): Io<Storage> {
  const writable = spec.writable === true;
  const opener = openerOf({ path, storages: spec.storages });
  return yield* opener === undefined
    ? openFile(path, { ...fileOptions(spec), writable })
    : opener.open(path, { writable });
}

function* openWith(parts: {
  readonly formats: FormatRegistry;
  readonly gate: OpenGate;
  readonly storage: Storage;
  readonly spec: ImageSpec;
  readonly backing: FormatAccess | undefined;
}): Io<FormatAccess> {
  const { formats, gate, storage, spec, backing } = parts;
  const dataFile = typeof spec.dataFile === "string" ? yield* openStorage(spec.dataFile, spec) : spec.dataFile;
  const options: AllOpenOptions = {
    gate,
    writable: spec.writable === true,
    writeProbed: spec.writeProbed === true,
    inspect: spec.inspect === true,
    ...(spec.format === undefined ? {} : { format: spec.format }),
    ...(spec.snapshot === undefined ? {} : { snapshot: spec.snapshot }),
    ...(spec.rawOffset === undefined ? {} : { offset: spec.rawOffset }),
    ...(spec.rawSize === undefined ? {} : { length: spec.rawSize }),
    ...(dataFile === undefined ? {} : { dataFile }),
    ...(spec.backing === undefined ? {} : { backing: backing ?? null }),
  };
  const owner = backing === undefined ? storage : closesWith(storage, backing);
  try {
    return yield* formats.openIo(owner, options);
  } catch (error) {
    if (dataFile !== undefined && dataFile !== null) {
      yield* closeAfterFailure(dataFile);
    }
    throw error;
  }
}

/** @throws ImgError when `spec` asks for what `format` doesn't have, which its driver would silently ignore */
function checkAsked(spec: ImageSpec, format: string): void {
  const refuse = (what: string): never => {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${spec.path}: a ${format} image has no ${what}`, { subject: spec.path });
  };
  if (format !== "raw" && (spec.rawOffset !== undefined || spec.rawSize !== undefined)) refuse("offset or size");
  if (format !== "raw") return;
  if (spec.snapshot !== undefined) refuse("snapshots");
  if (spec.backing !== undefined && spec.backing !== null) refuse("backing image");
  if (spec.dataFile !== undefined && spec.dataFile !== null) refuse("data file");
}
