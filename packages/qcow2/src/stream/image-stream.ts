import type { Io } from "@img/format-core";
import type { Section } from "./section.ts";

/** The bytes of an image, from the first to the last. */
export class ImageStream {
  /** Bytes of the whole image; known before the first of them is made. */
  readonly length: number;
  readonly #chunkSize: number;
  readonly #sections: readonly Section[];
  #position = 0;
  #failure: { readonly error: unknown } | undefined;

  /** @param chunkSize - bytes, a multiple of 512 */
  constructor(sections: readonly Section[], chunkSize: number) {
    this.#sections = sections;
    this.#chunkSize = chunkSize;
    this.length = sections.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes that {@link next} gave. */
  get position(): number {
    return this.#position;
  }

  /**
   * The next bytes, in a new buffer that belongs to the caller; `undefined`: that was all. One call at a time.
   *
   * The last ones come only if everything before was right: a stream that fails is never complete. After a failure every further call fails alike.
   * @throws ImgError what reading the source throws; `ERR_IMG_BUSY` when it was seen to change
   */
  *next(): Io<Uint8Array<ArrayBuffer> | undefined> {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    const length = Math.min(this.#chunkSize, this.length - this.#position);
    if (length === 0) {
      return undefined;
    }
    const chunk = new Uint8Array(length);
    try {
      yield* this.#fill(chunk);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
    this.#position += length;
    return chunk;
  }

  *#fill(chunk: Uint8Array): Io<void> {
    let start = 0;
    for (const section of this.#sections) {
      const within = Math.max(0, this.#position - start);
      const at = Math.max(0, start - this.#position);
      const length = Math.min(section.length - within, chunk.length - at);
      if (length > 0) {
        yield* section.fill(chunk.subarray(at, at + length), within);
      }
      start += section.length;
    }
  }
}
