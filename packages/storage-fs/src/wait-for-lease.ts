import { ImgError, isImgError, perform, type Io, type Step } from "@img/format-core";

/** Milliseconds; Linux takes leases away after 45 seconds, unless it was told otherwise. */
const longestWait = 60_000;

const longestPause = 100;

/**
 * Opens a regular file without blocking, as often as it takes until whoever has a lease on it (`F_SETLEASE`; file servers have) gives it back, or the
 * host takes it away.
 *
 * @param longest - milliseconds
 * @throws ImgError `ERR_IMG_LOCKED` when that takes too long; what `open` fails with otherwise
 */
export function* waitForLease<T>(label: string, open: () => Io<T>, longest: number = longestWait): Io<T> {
  const end = performance.now() + longest;
  for (let pause = 1; ; pause = Math.min(2 * pause, longestPause)) {
    try {
      return yield* open();
    } catch (error) {
      if (!isImgError(error, "EAGAIN")) {
        throw error;
      }
      if (performance.now() >= end) {
        const seconds = String(Math.round(longest / 1000));
        throw new ImgError(
          "ERR_IMG_LOCKED",
          `cannot open ${label}: somebody has a lease on it, and hasn't given it back for ${seconds} s`,
          { cause: error.cause, subject: label },
        );
      }
    }
    yield* sleep(label, pause);
  }
}

function sleep(label: string, milliseconds: number): Io<void> {
  const step: Step<void> = {
    label,
    sync: () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    },
    async: () =>
      new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
      }),
  };
  return perform(step);
}
