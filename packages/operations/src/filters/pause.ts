import { perform, type Io } from "@img/format-core";
import { blockThread } from "../convert/block-thread.ts";

/**
 * Waits.
 * @param milliseconds - nothing happens unless it is > 0
 * @throws ImgError `ERR_IMG_ASYNC_ONLY` in the synchronous world of a thread that may not sleep: that of a page in a browser
 */
export function* pause(milliseconds: number): Io<void> {
  if (milliseconds > 0) {
    yield* perform({
      label: "a limit of the rate",
      safePoint: true,
      async: () =>
        new Promise<void>((resolve) => {
          setTimeout(resolve, milliseconds);
        }),
      sync: () => {
        blockThread(milliseconds);
      },
    });
  }
}
