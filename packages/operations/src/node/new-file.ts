import type { Io, Storage } from "@img/format-core";
import type { SharedFile } from "./copy-threads.ts";

/** How a {@link NewFile} is finished. */
export interface PublishOptions {
  /** Make it durable. */
  readonly sync: boolean;
  /** Heard as long as what was there is still there. Default: nothing is. */
  readonly signal?: AbortSignal | undefined;
}

/** What a new image, or its data file, is written to, and what becomes of it. */
export interface NewFile {
  /** Where the data goes. */
  readonly storage: Storage;
  /** Whether it is empty, so that whatever it gains reads as zero. */
  readonly isFresh: boolean;
  /** What another thread needs to write to it too, while {@link storage} is open. `undefined`: no other one can. */
  readonly shared?: SharedFile;
  /** The data is complete and the storage closed: makes it what the target's name means. */
  publish(options: PublishOptions): Io<void>;
  /** It failed, and the storage is closed: leaves things as they were, as far as possible. */
  discard(): Io<void>;
}
