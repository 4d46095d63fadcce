import { ImgError, runAsync, type FormatAccess } from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import { Pacer } from "../pacer.ts";
import { benchSettings, type BenchOptions, type BenchSettings } from "./bench-settings.ts";

/** What {@link bench} measured. */
export interface BenchResult {
  /** Seconds from the first request to the last answer. */
  readonly seconds: number;
  /** Flushes that were sent. */
  readonly flushes: number;
}

/** Requests after which a worker lets the event loop run if it is time. */
const requestsPerPause = 64;

/**
 * Sends requests of one size to an image, a fixed number of them in flight, and takes the time: what `qemu-img bench` does. Neither opening
 * nor closing is part of it, and what was written isn't flushed at the end.
 *
 * @throws RangeError for options out of their ranges; ImgError `ERR_IMG_OUT_OF_RANGE` when a request would end behind the disk; and what
 * reading, writing and flushing throw. All requests in flight are waited for.
 */
export async function bench(image: FormatAccess, options: BenchOptions = {}): Promise<BenchResult> {
  const settings = benchSettings(options);
  options.signal?.throwIfAborted();
  return new BenchRun(image, settings, options.signal).run();
}

class BenchRun {
  readonly #image: FormatAccess;
  readonly #settings: BenchSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #size: number;
  readonly #pacer = new Pacer();
  /** All writes send the same bytes. */
  readonly #written: Uint8Array | undefined;
  readonly #flushesInFlight = new Set<Promise<void>>();
  #left: number;
  #offset: number;
  #flushes = 0;
  #failed = false;
  #failure: unknown;

  constructor(image: FormatAccess, settings: BenchSettings, signal: AbortSignal | undefined) {
    this.#image = image;
    this.#settings = settings;
    this.#signal = signal;
    this.#size = sectorAlignedSize(image);
    this.#left = settings.count;
    this.#offset = settings.offset;
    if (settings.count > 0 && settings.write && settings.offset + settings.length <= this.#size) {
      this.#written = new Uint8Array(settings.length).fill(settings.pattern);
    }
  }

  async run(): Promise<BenchResult> {
    const { flushInterval, drain } = this.#settings;
    const began = performance.now();
    const drained = flushInterval > 0 && drain;
    while (this.#left > 0 && !this.#failed) {
      await this.#sendUntil(drained ? Math.max(0, this.#left - flushInterval) : 0);
      if (drained) {
        await this.#flush();
      }
    }
    await Promise.all(this.#flushesInFlight);
    if (this.#failed) {
      throw this.#failure;
    }
    return { seconds: (performance.now() - began) / 1000, flushes: this.#flushes };
  }

  /** Sends requests until so many are left, and waits for all of them. */
  async #sendUntil(left: number): Promise<void> {
    const { depth } = this.#settings;
    const workers: Promise<void>[] = [];
    // where storages answer at once, the first worker does everything before there is a second one
    for (let index = 0; index < depth && this.#left > left && !this.#failed; index++) {
      workers.push(this.#work(left));
    }
    await Promise.all(workers);
  }

  async #work(left: number): Promise<void> {
    let buffer = this.#written;
    let sent = 0;
    try {
      while (this.#left > left && !this.#failed) {
        const offset = this.#next();
        const flushAfter = this.#isFlushDue();
        // not made before the request is known to lie in the disk
        buffer ??= new Uint8Array(this.#settings.length);
        await (this.#settings.write ? this.#image.write(buffer, offset) : this.#image.read(buffer, offset));
        if (flushAfter) {
          this.#flushMeanwhile();
        }
        if (++sent % requestsPerPause === 0) {
          await runAsync(this.#pacer.pause(), this.#signal);
        }
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Where the next request begins. */
  #next(): number {
    const { length, step } = this.#settings;
    const offset = this.#offset;
    if (offset + length > this.#size) {
      throw new ImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `${String(length)} bytes at ${String(offset)} end behind the disk's ${String(this.#size)}`,
        { feature: "request" },
      );
    }
    this.#left--;
    this.#offset = this.#size === 0 ? 0 : (offset + step) % this.#size;
    return offset;
  }

  /** Whether the request that was begun last is the last before a flush that nobody waits for. */
  #isFlushDue(): boolean {
    const { count, drain, flushInterval } = this.#settings;
    return flushInterval > 0 && !drain && (count - this.#left) % flushInterval === 0;
  }

  async #flush(): Promise<void> {
    if (this.#failed) {
      return;
    }
    this.#flushes++;
    try {
      await this.#image.flush();
      await this.#image.sync();
    } catch (error) {
      this.#fail(error);
    }
  }

  #flushMeanwhile(): void {
    const flushed = this.#flush();
    this.#flushesInFlight.add(flushed);
    void flushed.then(() => this.#flushesInFlight.delete(flushed));
  }

  #fail(error: unknown): void {
    if (!this.#failed) {
      this.#failed = true;
      this.#failure = error;
    }
  }
}
