import { perform, type Io } from "@img/format-core";
import { blockThread } from "./block-thread.ts";

/** Longest wait without a look at the signal, milliseconds. */
const slice = 100;

/** Slows a job down to a rate, measured from its start. */
export class RateLimit {
  readonly #rate: number;
  readonly #began = performance.now();

  /** @param rate - bytes per second, > 0 */
  constructor(rate: number) {
    this.#rate = rate;
  }

  /**
   * Waits until so many bytes may have been written since the start.
   * @throws ImgError `ERR_IMG_ASYNC_ONLY` in the synchronous world of a thread that may not sleep: that of a page in a browser
   */
  *waitFor(bytes: number): Io<void> {
    for (;;) {
      const left = (bytes / this.#rate) * 1000 - (performance.now() - this.#began);
      if (left <= 0) {
        return;
      }
      yield* perform({
        label: "a limit of the rate",
        safePoint: true,
        async: () =>
          new Promise<void>((resolve) => {
            setTimeout(resolve, Math.min(left, slice));
          }),
        sync: () => {
          blockThread(Math.min(left, slice));
        },
      });
    }
  }
}
