import { FormatAccess } from "../access/format-access.ts";
import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import { runAsync } from "../io/run-async.ts";
import { checkOffset } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import type { FormatDriver } from "./driver.ts";
import type { CreateOptions, OpenOptions } from "./open-options.ts";
import { checkPreallocation } from "./preallocation.ts";

/** What a format is made of; give it to {@link defineFormat}. */
export interface FormatDefinition<
  D extends FormatDriver = FormatDriver,
  O extends OpenOptions = OpenOptions,
  C extends CreateOptions = CreateOptions,
> {
  /** Short and stable, for example `"qcow2"`: what headers and `-f` call it. */
  readonly name: string;
  /** Other names that headers use for it. */
  readonly aliases?: readonly string[];
  /** File name extensions with the dot, the usual one first. */
  readonly extensions: readonly string[];
  /** Bytes from the start of an image that {@link probe} looks at. */
  readonly probeLength: number;
  /**
   * How surely `header` begins an image of this format: 0 not at all … 100 without doubt. Pure: it sees only these bytes, fewer than
   * {@link probeLength} when the image is shorter.
   */
  probe(header: Uint8Array): number;
  /** Opens the image in `storage`, refusing whatever it doesn't handle before anything is read as data or written. */
  open(storage: Storage, options: O): Io<D>;
  /** Makes a new image in `storage`, replacing whatever it holds, and opens it for writing. Absent: the format can't create. */
  create?(storage: Storage, options: C): Io<D>;
  /** As {@link create} and closing at once, without opening; see {@link Format.createClosedIo}. Absent: that is never possible. */
  createClosed?(storage: Storage, options: C): Io<boolean>;
}

/** A format as a value: pass it to a `FormatRegistry`, or open images with it. */
export interface Format<
  D extends FormatDriver = FormatDriver,
  O extends OpenOptions = OpenOptions,
  C extends CreateOptions = CreateOptions,
> {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly extensions: readonly string[];
  readonly probeLength: number;
  readonly canCreate: boolean;
  probe(header: Uint8Array): number;
  /**
   * Opens the image in `storage`. On success the image owns `storage` and closes it; on failure it stays the caller's.
   * @throws ImgError `ERR_IMG_CORRUPT`, `ERR_IMG_UNSUPPORTED`, `ERR_IMG_LIMIT`, `ERR_IMG_DENIED` (by the gate), `ERR_IMG_READ_ONLY`.
   */
  open(storage: Storage, options?: O & { readonly signal?: AbortSignal }): Promise<FormatAccess<D>>;
  /**
   * Creates an image in `storage` (its contents are lost) and opens it for writing. Ownership as for {@link open}.
   * @throws RangeError when the size isn't one, or the preallocation is unknown; nothing is lost then
   */
  create(storage: Storage, options: C & { readonly signal?: AbortSignal }): Promise<FormatAccess<D>>;
  /** {@link open} for use inside other operations. */
  openIo(storage: Storage, options?: O): Io<FormatAccess<D>>;
  /** {@link create} for use inside other operations. */
  createIo(storage: Storage, options: C): Io<FormatAccess<D>>;
  /**
   * What {@link createIo} and closing the image do, for an image that is only made: without opening it. Durable, and the storages that the image would
   * own are closed when it returns `true`; they stay the caller's when it fails.
   * @returns `false`: nothing has happened, because such an image has to be opened for it
   */
  createClosedIo?(storage: Storage, options: C): Io<boolean>;
}

/** Makes a format out of its definition. Nothing is registered anywhere. */
export function defineFormat<D extends FormatDriver, O extends OpenOptions, C extends CreateOptions>(
  definition: FormatDefinition<D, O, C>,
): Format<D, O, C> {
  function* openIo(storage: Storage, options: O = {} as O): Io<FormatAccess<D>> {
    if (options.writable === true) {
      refuseReadOnly(storage);
    }
    return new FormatAccess(yield* definition.open(storage, options));
  }
  function* createIo(storage: Storage, options: C): Io<FormatAccess<D>> {
    if (definition.create === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${definition.name} images can't be created`);
    }
    checkNew(storage, options);
    return new FormatAccess(yield* definition.create(storage, options));
  }
  function* createClosedIo(storage: Storage, options: C): Io<boolean> {
    checkNew(storage, options);
    return definition.createClosed !== undefined && (yield* definition.createClosed(storage, options));
  }
  return {
    name: definition.name,
    aliases: definition.aliases ?? [],
    extensions: definition.extensions,
    probeLength: definition.probeLength,
    canCreate: definition.create !== undefined,
    probe: (header) => definition.probe(header),
    open: (storage, options) => runAsync(openIo(storage, options), options?.signal),
    create: (storage, options) => runAsync(createIo(storage, options), options.signal),
    openIo,
    createIo,
    ...(definition.createClosed === undefined ? {} : { createClosedIo }),
  };
}

/**
 * Refuses what no format can create, before anything of the storage's old contents is lost.
 * @throws ImgError `ERR_IMG_READ_ONLY`; RangeError when an option isn't a size or a preallocation
 */
function checkNew(storage: Storage, { size = 0, preallocation = "none" }: CreateOptions): void {
  refuseReadOnly(storage);
  checkOffset(size, "size");
  checkPreallocation(preallocation);
}

/** @throws ImgError `ERR_IMG_READ_ONLY` */
function refuseReadOnly(storage: Storage): void {
  if (!storage.writable) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${storage.label} is read-only`, { subject: storage.label });
  }
}
