import type { Io } from "@img/format-core";
import type { SourceDisk } from "../convert/source-disk.ts";
import type { ChunkSource } from "./chunk-source.ts";

/** The bytes of a disk. */
export class RawChunks implements ChunkSource {
  readonly length: number;
  readonly #disk: SourceDisk;
  readonly #chunkSize: number;
  #position = 0;

  constructor(disk: SourceDisk, chunkSize: number) {
    this.length = disk.size;
    this.#disk = disk;
    this.#chunkSize = chunkSize;
  }

  *next(): Io<Uint8Array<ArrayBuffer> | undefined> {
    const length = Math.min(this.#chunkSize, this.length - this.#position);
    if (length === 0) {
      return undefined;
    }
    const chunk = new Uint8Array(length);
    yield* this.#disk.read(chunk, this.#position);
    this.#position += length;
    return chunk;
  }
}
