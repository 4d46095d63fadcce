import type { AbortOptions, FormatAccess } from "@img/format-core";
import type { ConvertOptions } from "../convert/convert-options.ts";
import type { Progress } from "../progress.ts";

/** How it is found out what has to be stored. */
export type StreamDetection = "allocation" | "contents" | "nothing";

/** Options of {@link streamImage}. */
export interface StreamOptions
  extends AbortOptions, Pick<ConvertOptions, "rate" | "onUnreadable" | "noSnapshotsBelow"> {
  /** What is streamed: the bytes of the disk, or an image of it. */
  readonly format: "raw" | "qcow2";
  /** Options of the format for creating an image, beside its size. What a stream can't have is refused by name. */
  readonly createOptions?: Readonly<Record<string, unknown>>;
  /** The image below, as the streamed one is to name it. What {@link backing} shows already isn't stored. */
  readonly backingFile?: { readonly name: string; readonly format: string };
  /** The image that {@link backingFile} is about, open; it stays so. `null`: nothing is known about it, so that nothing is left out. */
  readonly backing?: FormatAccess | null;
  /**
   * `"allocation"`: what the sources know to be zero isn't stored, nor what lies at the same place of the same file below; nothing is read
   * beforehand · `"contents"`: data is looked at as well, for zeroes and for what the image below shows, so that it is read twice · `"nothing"`: all
   * is stored. Only for qcow2. Default `"allocation"`.
   */
  readonly detect?: StreamDetection;
  /** Bytes of a chunk, but for the last: at least 512, rounded up to a multiple of 512. Default 1 MiB. */
  readonly chunkSize?: number;
  /**
   * Chunks that are read while the ones before are used up; without waiting for promises none ever is. 0: each is read when it is asked for.
   * Default 2.
   */
  readonly readAhead?: number;
  /** Bytes that may remember where the data is; see `planStream` of `@img/qcow2`. Default 16 MiB. */
  readonly memory?: number;
  /** Called with each chunk that is handed out: bytes of the stream, of its length. */
  readonly onProgress?: (progress: Progress) => void;
}
