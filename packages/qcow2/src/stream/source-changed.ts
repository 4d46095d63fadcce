import { ImgError } from "@img/format-core";

/** A source isn't any more what the beginning of the stream says. */
export function sourceChanged(): ImgError {
  return new ImgError(
    "ERR_IMG_BUSY",
    "what is allocated in the source changed while it was streamed: expected that nobody writes it",
  );
}
