import { drive, type FormatAccess, type Io, type MaybePromise } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { BlockSizes } from "../protocol/info-item.ts";
import { payloadLimit } from "../protocol/transmission-numbers.ts";
import { allocationContext, depthContext } from "./format-contexts.ts";
import { zeroFormat } from "./format-zero.ts";
import { checkBlockSize } from "./check-block-size.ts";
import { inPieces } from "./in-pieces.ts";
import type { ExportZeroOptions, NbdExport, NbdMetaContext } from "./nbd-export.ts";
import { SyncQueue } from "./sync-queue.ts";

/** What all kinds of exports can be told. */
export interface ExportOptions {
  /** Whether clients may write. Default: whether the disk can be written. */
  readonly writable?: boolean;
  /** For people, in lists. */
  readonly description?: string;
  /** Only for clients that use TLS. Default `false`. */
  readonly tlsRequired?: boolean;
  /** Default: any, at most 32 MiB; what is preferred is known. Powers of two; `maximum` may be any multiple of `minimum`. */
  readonly blockSize?: BlockSizes;
  /** Whether clients may free space: by TRIM, and by zeroes that need not be allocated. Default `true`. */
  readonly discard?: boolean;
  /** More contexts, for example dirty bitmaps. */
  readonly contexts?: readonly NbdMetaContext[];
}

/** Options of {@link formatExport}. */
export interface FormatExportOptions extends ExportOptions {
  /** Offers `qemu:allocation-depth`. Default `false`. */
  readonly allocationDepth?: boolean;
}

/** Most bytes that are worth a client's while to ask for at once. */
const preferredLimit = 2 * 1024 * 1024;
/** Ranges that are looked up to have their tables read. */
const cachedLookups = 1024;

/**
 * An open image as an export. The image stays the caller's; its size must not change meanwhile. Flushes go through everything to the medium; those that
 * come while one is under way share the next one.
 * @throws RangeError for block sizes that can't be
 */
export function formatExport(access: FormatAccess, options: FormatExportOptions = {}): NbdExport {
  const writable = (options.writable ?? true) && access.writable;
  const discard = options.discard ?? true;
  const allocation = allocationContext(access);
  const depth = options.allocationDepth === true ? [depthContext(access)] : [];
  const syncs = new SyncQueue(() => drive(syncFormat(access)));
  return {
    ...describedBy(options),
    size: access.size,
    writable,
    blockSize: options.blockSize ?? blockSizeOf(access),
    fastZero: access.driver.zeroGranularity !== undefined,
    contexts: [allocation, ...depth, ...(options.contexts ?? [])],
    read: (into: IoVector, offset: number): MaybePromise<void> => drive(access.io.read(into, offset)),
    cache: (offset: number, length: number): MaybePromise<void> => drive(loadTables(access, offset, length)),
    flush: (): MaybePromise<void> => (writable ? syncs.flush() : undefined),
    ...(writable ? changing(access, discard) : {}),
  };
}

/** The options that an export has as they are. @throws RangeError for block sizes that can't be */
export function describedBy({ description, tlsRequired, blockSize }: ExportOptions): Partial<NbdExport> {
  checkBlockSize(blockSize);
  return {
    ...(description === undefined ? {} : { description }),
    ...(tlsRequired === undefined ? {} : { tlsRequired }),
  };
}

function changing(access: FormatAccess, discard: boolean): Partial<NbdExport> {
  return {
    write: (from: IoVector, offset: number): MaybePromise<void> => drive(access.io.write(from, offset)),
    writeZeroes: (offset: number, length: number, how: ExportZeroOptions): MaybePromise<void> =>
      zeroFormat({ access, discard }, offset, length, how),
    ...(discard
      ? {
          trim: (offset: number, length: number, signal?: AbortSignal): MaybePromise<void> =>
            inPieces(offset, length, (at, part) => drive(access.io.discardToAny(at, part)), signal),
        }
      : {}),
  };
}

function* syncFormat(access: FormatAccess): Io<void> {
  yield* access.io.flush();
  yield* access.io.sync();
}

function* loadTables(access: FormatAccess, offset: number, length: number): Io<void> {
  const end = offset + length;
  let at = offset;
  for (let lookups = 0; at < end && lookups < cachedLookups; lookups++) {
    const mapping = yield* access.io.getMapping(at, end - at);
    if (mapping.kind === "eof") {
      return;
    }
    at += mapping.length;
  }
}

function blockSizeOf(access: FormatAccess): BlockSizes {
  const unit = access.driver.zeroGranularity ?? 4096;
  return { minimum: 1, preferred: Math.min(Math.max(unit, 4096), preferredLimit), maximum: payloadLimit };
}
