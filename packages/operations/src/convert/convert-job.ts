import { alignDown, alignUp, ImgError, type FormatAccess, type Io } from "@img/format-core";
import { IoVector, isZero, nextRun } from "@img/io-vector";
import type { SharedPart, SharedParts } from "../parts/shared-parts.ts";
import { ConvertCursor } from "./convert-cursor.ts";
import type { ConvertSettings } from "./convert-options.ts";
import { GranularSource } from "./granular-source.ts";
import type { SourceDisk } from "./source-disk.ts";
import type { SourceReader } from "./source-reader.ts";
import { PieceWrites } from "./piece-writes.ts";
import { Turnstile } from "./turnstile.ts";
import { TargetComparison } from "./target-comparison.ts";

/** Most bytes that are made zero by one request, so that the job can be stopped and its progress be seen. */
const zeroLimit = 1024 * 1024 * 1024;

/** A conversion: pieces are taken one after the other, by any number of those who take {@link step}s, and copied. */
export class ConvertJob {
  readonly #source: SourceDisk;
  readonly #runs: GranularSource;
  readonly #target: FormatAccess;
  readonly #settings: ConvertSettings;
  readonly #reader: SourceReader | undefined;
  readonly #cursor: ConvertCursor;
  /** What is written compressed at once; 1 when nothing is. */
  readonly #block: number;
  readonly #chunkSize: number;
  /** Buffers that nobody uses at the moment. */
  readonly #buffers: Uint8Array[] = [];
  readonly #comparison: TargetComparison | undefined;
  /** Pieces are written in order where that decides about their place: the same conversion gives the same image. */
  readonly #order: Turnstile | undefined;
  #zeroes: Uint8Array | undefined;
  #offloads: boolean;

  /**
   * @param reader - reads instead of this thread where it can; default: nobody
   * @param parts - of the disk, some of which others may copy; default: this job copies it all. Only into a raw target, where it doesn't matter who comes first
   */
  constructor(
    source: SourceDisk,
    target: FormatAccess,
    settings: ConvertSettings,
    { reader, parts }: { readonly reader?: SourceReader | undefined; readonly parts?: SharedParts | undefined } = {},
  ) {
    this.#source = source;
    this.#target = target;
    this.#settings = settings;
    this.#reader = reader;
    this.#cursor = new ConvertCursor(parts ?? source.size);
    this.#offloads = settings.offload && !settings.compressed;
    this.#block = settings.compressed ? compressedBlock(target) : 1;
    this.#chunkSize = alignUp(settings.chunkSize, this.#block);
    this.#comparison = settings.onlyDifferences ? new TargetComparison(source, target, settings) : undefined;
    this.#runs = new GranularSource(source, this.#block);
    this.#order = isAnyOrder(target) ? undefined : new Turnstile();
  }

  /** Bytes dealt with. */
  get done(): number {
    return this.#cursor.done;
  }

  /** Bytes of them that were written as data. */
  get written(): number {
    return this.#cursor.written;
  }

  /** Goes on to a part of the disk, which is copied by the {@link step}s that follow. */
  begin(part: SharedPart): void {
    this.#cursor.begin(part);
  }

  /** Takes one piece and copies it; `false`: nothing is left to take. */
  *step(): Io<boolean> {
    for (;;) {
      if (this.#cursor.position === this.#cursor.end && !this.#cursor.advance()) {
        return false;
      }
      const { position, end: limit } = this.#cursor;
      const { zero, length } = yield* this.#runs.firstRun(position, limit);
      const end = zero ? position + Math.min(length, this.#zeroLimit()) : this.#chunkEnd(position);
      if (this.#cursor.take(position, end)) {
        const written = zero ? yield* this.#zeroPiece(position, end) : yield* this.#copy(position, end);
        this.#cursor.finish(end - position, written);
        return true;
      }
    }
  }

  *#zeroPiece(start: number, end: number): Io<number> {
    const writes = new PieceWrites(this.#target, this.#order);
    try {
      return yield* this.#zero(start, end, writes);
    } finally {
      yield* writes.end();
    }
  }

  #zeroLimit(): number {
    return this.#settings.targetIsZero && this.#settings.sparse > 0 ? Infinity : zeroLimit;
  }

  /** Pieces end on multiples of their size, so that they stay aligned however the disk begins. */
  #chunkEnd(position: number): number {
    return Math.min(alignDown(position, this.#chunkSize) + this.#chunkSize, this.#cursor.end);
  }

  /** Copies a range of at most one buffer; returns the bytes written as data. */
  *#copy(start: number, end: number): Io<number> {
    const buffer = this.#buffers.pop() ?? this.#reader?.allocate(this.#chunkSize) ?? new Uint8Array(this.#chunkSize);
    const writes = new PieceWrites(this.#target, this.#order);
    try {
      let written = 0;
      let at = start;
      while (at < end) {
        const { zero, length } = yield* this.#runs.runAt(at, end);
        written += zero
          ? yield* this.#zero(at, at + length, writes)
          : yield* this.#data(buffer.subarray(at - start, at - start + length), at, writes);
        at += length;
      }
      return written;
    } finally {
      try {
        yield* writes.end();
      } finally {
        this.#buffers.push(buffer);
      }
    }
  }

  /** Copies the bytes at `offset`, as many as `buffer` has room for; returns how many were written as data. */
  *#data(buffer: Uint8Array, offset: number, writes: PieceWrites): Io<number> {
    const comparison = this.#comparison;
    if (comparison === undefined) {
      const copied = yield* this.#offload(offset, buffer.length, writes);
      const rest = buffer.subarray(copied);
      if (rest.length === 0) {
        return copied;
      }
      yield* this.#read(rest, offset + copied);
      return copied + (yield* this.#store(rest, offset + copied, writes));
    }
    yield* writes.enter();
    let written = 0;
    for (let at = 0; at < buffer.length;) {
      const { kind, length } = yield* comparison.runAt(offset + at, offset + buffer.length);
      if (kind !== "same") {
        const part = buffer.subarray(at, at + length);
        yield* this.#read(part, offset + at);
        const ranges =
          kind === "write" ? [{ start: 0, end: length }] : yield* comparison.differences(part, offset + at);
        for (const { start, end } of ranges) {
          written += yield* this.#store(part.subarray(start, end), offset + at + start, writes);
        }
      }
      at += length;
    }
    return written;
  }

  *#read(into: Uint8Array, offset: number): Io<void> {
    if (this.#reader === undefined || !(yield* this.#reader.read(into, offset))) {
      yield* this.#source.read(into, offset);
    }
  }

  /** Has the host copy the start of a range; returns how much it did. What it can't do once, it isn't asked for again. */
  *#offload(offset: number, length: number, writes: PieceWrites): Io<number> {
    let done = 0;
    while (this.#offloads && done < length) {
      const mapping = yield* this.#source.mappingAt(offset + done, length - done);
      if (mapping?.kind !== "raw") {
        break;
      }
      yield* writes.enter();
      const copied = yield* this.#target.io.copyFrom(mapping, offset + done);
      this.#offloads = copied > 0;
      done += copied;
    }
    return done;
  }

  *#store(buffer: Uint8Array, offset: number, writes: PieceWrites): Io<number> {
    if (this.#settings.compressed) {
      return yield* this.#compress(buffer, offset, writes);
    }
    const { sparse, targetIsZero } = this.#settings;
    if (sparse === 0) {
      yield* writes.write(buffer, offset);
      return buffer.length;
    }
    let written = 0;
    for (let at = 0; at < buffer.length;) {
      const run = nextRun(buffer, at, sparse);
      if (run.zero && (targetIsZero || run.length >= sparse)) {
        yield* this.#zero(offset + at, offset + at + run.length, writes);
      } else {
        yield* writes.write(buffer.subarray(at, at + run.length), offset + at);
        written += run.length;
      }
      at += run.length;
    }
    return written;
  }

  /** Compresses before it is this piece's turn, and then stores. */
  *#compress(buffer: Uint8Array, offset: number, writes: PieceWrites): Io<number> {
    const skipZeroes = this.#settings.sparse > 0;
    const stores: (() => Io<unknown>)[] = [];
    let written = 0;
    const isSkipped = (at: number): boolean =>
      skipZeroes && isZero(buffer.subarray(at, Math.min(at + this.#block, buffer.length)));
    for (let at = 0; at < buffer.length;) {
      // blocks of one kind go together: several are compressed at once
      const skipped = isSkipped(at);
      const start = at;
      do {
        at = Math.min(at + this.#block, buffer.length);
      } while (at < buffer.length && isSkipped(at) === skipped);
      if (skipped) {
        const [from, to] = [offset + start, offset + at];
        stores.push(() => this.#zero(from, to, writes));
      } else {
        stores.push(yield* this.#prepareCompressed(buffer.subarray(start, at), offset + start));
        written += at - start;
      }
    }
    yield* writes.enter();
    for (const store of stores) {
      yield* store();
    }
    return written;
  }

  /** A target that is larger than the sources has more of their last block, which is left as it is. */
  *#prepareCompressed(run: Uint8Array, offset: number): Io<() => Io<void>> {
    const { io, size } = this.#target;
    const end = offset + run.length;
    const whole = end === size ? run.length : run.length - (end % this.#block);
    const store =
      whole === 0 ? undefined : yield* io.prepareCompressed(IoVector.single(run.subarray(0, whole)), offset);
    return function* () {
      if (store !== undefined) {
        yield* store();
      }
      if (whole < run.length) {
        yield* io.write(IoVector.single(run.subarray(whole)), offset + whole);
      }
    };
  }

  /** Makes a range of the target zero; returns the bytes that this took as data. */
  *#zero(start: number, end: number, writes: PieceWrites): Io<number> {
    yield* writes.enter();
    if (this.#comparison === undefined) {
      return yield* this.#makeZero(start, end, writes);
    }
    let written = 0;
    for (let at = start; at < end;) {
      const { zero, length } = yield* this.#comparison.zeroRunAt(at, end);
      written += zero ? 0 : yield* this.#makeZero(at, at + length, writes);
      at += length;
    }
    return written;
  }

  *#makeZero(start: number, end: number, writes: PieceWrites): Io<number> {
    const { sparse, targetIsZero } = this.#settings;
    if (sparse > 0) {
      if (!targetIsZero) {
        yield* this.#target.io.writeZeroes(start, end - start);
      }
      return 0;
    }
    const zeroes = (this.#zeroes ??= new Uint8Array(this.#chunkSize));
    for (let at = start; at < end; at += zeroes.length) {
      const piece = zeroes.subarray(0, Math.min(zeroes.length, end - at));
      yield* this.#settings.compressed ? this.#compress(piece, at, writes) : writes.write(piece, at);
    }
    return end - start;
  }
}

/** Whether what is written to `target` has its place, whoever comes first. */
function isAnyOrder(target: FormatAccess): boolean {
  return target.driver.format === "raw";
}

/** @throws ImgError `ERR_IMG_UNSUPPORTED` when `target` can't hold compressed data */
function compressedBlock(target: FormatAccess): number {
  const { driver } = target;
  if (driver.writeCompressed === undefined || driver.compressedBlockSize === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${String(driver)} can't hold compressed data`);
  }
  return driver.compressedBlockSize;
}
