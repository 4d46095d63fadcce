import { moveFastSync, runAsync, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { Pacer } from "../pacer.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { BenchRequests } from "./bench-requests.ts";
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

/**
 * {@link bench} without waiting: one request after the other, whatever `depth` says.
 * @throws RangeError and ImgError as {@link bench}
 */
export function benchSync(image: SyncImage, options: BenchOptions = {}): BenchResult {
  const settings = benchSettings(options);
  options.signal?.throwIfAborted();
  const access = imageOf(image);
  const requests = new BenchRequests(access, settings);
  const verb = settings.write ? "write" : "read";
  let flushes = 0;
  let vector: IoVector | undefined;
  const began = performance.now();
  while (requests.left > 0) {
    const offset = requests.next();
    vector ??= IoVector.single(requests.makeBuffer());
    if (!moveFastSync(access, verb, vector, offset)) {
      runSync(access.io[verb](vector, offset));
    }
    if (requests.isFlushDue() || (settings.drain && settings.flushInterval > 0 && requests.left === 0)) {
      flushes++;
      runSync(access.io.flush());
      runSync(access.io.sync());
    }
  }
  return { seconds: (performance.now() - began) / 1000, flushes };
}

class BenchRun {
  readonly #image: FormatAccess;
  readonly #settings: BenchSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #requests: BenchRequests;
  readonly #pacer = new Pacer();
  /** All writes send the same bytes. */
  #written: Uint8Array | undefined;
  readonly #flushesInFlight = new Set<Promise<void>>();
  #flushes = 0;
  #failed = false;
  #failure: unknown;

  constructor(image: FormatAccess, settings: BenchSettings, signal: AbortSignal | undefined) {
    this.#image = image;
    this.#settings = settings;
    this.#signal = signal;
    this.#requests = new BenchRequests(image, settings);
  }

  async run(): Promise<BenchResult> {
    const { flushInterval, drain } = this.#settings;
    const began = performance.now();
    const drained = flushInterval > 0 && drain;
    while (this.#requests.left > 0 && !this.#failed) {
      await this.#sendUntil(drained ? Math.max(0, this.#requests.left - flushInterval) : 0);
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
    for (let index = 0; index < depth && this.#requests.left > left && !this.#failed; index++) {
      workers.push(this.#work(left));
    }
    await Promise.all(workers);
  }

  async #work(left: number): Promise<void> {
    let buffer: Uint8Array | undefined;
    let sent = 0;
    try {
      while (this.#requests.left > left && !this.#failed) {
        const offset = this.#requests.next();
        const flushAfter = !this.#settings.drain && this.#requests.isFlushDue();
        // not made before the request is known to lie in the disk
        buffer ??= this.#makeBuffer();
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

  #makeBuffer(): Uint8Array {
    return this.#settings.write ? (this.#written ??= this.#requests.makeBuffer()) : this.#requests.makeBuffer();
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
