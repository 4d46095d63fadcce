import { ImgError, isImgError, perform, type Io, type Step } from "@img/format-core";

/** Milliseconds; Linux takes leases away after 45 seconds, unless it was told otherwise. */
const longestWait = 60_000;

const longestPause = 100;

/** How to wait for a lease. */
interface LeaseOptions {
  /** Whether the synchronous world may sleep. */
  readonly sleeps: boolean;
  /** Milliseconds. */
  readonly longest?: number;
}

/**
 * Opens a regular file without blocking, as often as it takes until whoever has a lease on it (`F_SETLEASE`; file servers have) gives it back, or the
 * host takes it away. Between two attempts, the operation may be aborted.
 *
 * @throws ImgError `ERR_IMG_LOCKED` when that takes too long; `ERR_IMG_ASYNC_ONLY` in the synchronous world, if that may not sleep; what `open` fails
 * with otherwise
 */
export function* waitForLease<T>(label: string, open: () => Io<T>, options: LeaseOptions): Io<T> {
  const { longest = longestWait } = options;
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
    yield* sleep(label, pause, options);
  }
}

function sleep(label: string, milliseconds: number, { sleeps }: LeaseOptions): Io<void> {
  const step: Step<void> = {
    label,
    safePoint: true,
    sync: () => {
      if (!sleeps) {
        throw new ImgError("ERR_IMG_ASYNC_ONLY", `cannot open ${label} at once: somebody has a lease on it`, {
          subject: label,
        });
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    },
    async: () =>
      new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
      }),
  };
  return perform(step);
}
