import { ImgError, type FormatAccess, type Io } from "@img/format-core";
import { RateLimit } from "../convert/rate-limit.ts";
import { sectorAlignedSize } from "../image-size.ts";
import { Pacer } from "../pacer.ts";
import { SourceSizes } from "../source-sizes.ts";
import type { ChunkSource } from "./chunk-source.ts";

/** Milliseconds between two questions for the sizes of storages, which may forget what they have buffered when they are asked. */
const askAgain = 1000;

/** Chunks at a rate, for as long as the sources have the size that they had. */
export class PacedChunks implements ChunkSource {
  readonly length: number;
  readonly #chunks: ChunkSource;
  readonly #sources: readonly FormatAccess[];
  readonly #sizes: readonly number[];
  readonly #storages: SourceSizes;
  readonly #limit: RateLimit | undefined;
  readonly #pacer = new Pacer();
  #made = 0;
  #asked = performance.now();

  /** @param rate - bytes per second, > 0 */
  constructor(chunks: ChunkSource, sources: readonly FormatAccess[], rate: number) {
    this.length = chunks.length;
    this.#chunks = chunks;
    this.#sources = sources;
    this.#sizes = sources.map(sectorAlignedSize);
    this.#storages = new SourceSizes(sources);
    this.#limit = rate === Infinity ? undefined : new RateLimit(rate);
  }

  *next(): Io<Uint8Array<ArrayBuffer> | undefined> {
    yield* this.#pacer.pause();
    const chunk = yield* this.#chunks.next();
    this.#made += chunk?.length ?? 0;
    this.#checkSizes();
    if (chunk !== undefined) {
      yield* this.#checkStorages();
    }
    if (this.#limit !== undefined) {
      yield* this.#limit.waitFor(this.#made);
    }
    return chunk;
  }

  /** The last chunk is given to nobody before all was there that it was made of. */
  *#checkStorages(): Io<void> {
    const now = performance.now();
    if (this.#made === this.length || now - this.#asked >= askAgain) {
      this.#asked = now;
      yield* this.#storages.check();
    }
  }

  #checkSizes(): void {
    for (const [index, source] of this.#sources.entries()) {
      const [size, expected] = [sectorAlignedSize(source), this.#sizes[index]];
      if (size !== expected) {
        throw new ImgError(
          "ERR_IMG_BUSY",
          `${String(source.driver)} has ${String(size)} bytes now: expected ${String(expected)}, as when it began to be streamed`,
        );
      }
    }
  }
}
