import type { ServerSettings } from "./server-options.ts";

/** What every connection may have in flight, however much the others have. */
const reserve = 1024 * 1024;

/** Bytes that all connections of a server have in flight. */
export class TotalInFlight {
  readonly limit: number;
  readonly waiting: Set<InFlight> = new Set<InFlight>();
  bytes: number = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Lets those go on who waited for others. */
  wake(): void {
    for (const one of [...this.waiting]) {
      one.retry();
    }
  }
}

/**
 * What one connection has in flight: requests that are begun and whose answers aren't completely sent. A stalled client stops here, with a bounded
 * number of bytes of ours.
 */
export class InFlight {
  readonly #total: TotalInFlight;
  readonly #maxRequests: number;
  readonly #maxBytes: number;
  #requests = 0;
  #bytes = 0;
  #wanted: { bytes: number; resolve: () => void } | undefined;
  #onIdle: (() => void)[] = [];

  constructor(total: TotalInFlight, settings: Pick<ServerSettings, "maxRequests" | "maxBytes">) {
    this.#total = total;
    this.#maxRequests = settings.maxRequests;
    this.#maxBytes = settings.maxBytes;
  }

  /** Requests in flight. */
  get requests(): number {
    return this.#requests;
  }

  /** Begins a request with so many bytes of data, if it may. */
  tryEnter(bytes: number): boolean {
    const own = this.#requests === 0 || (this.#requests < this.#maxRequests && this.#bytes + bytes <= this.#maxBytes);
    const free = bytes === 0 || this.#bytes + bytes <= reserve || this.#total.bytes + bytes <= this.#total.limit;
    if (!own || !(free || this.#isAlone())) {
      return false;
    }
    this.#requests++;
    this.#bytes += bytes;
    this.#total.bytes += bytes;
    return true;
  }

  /** Waits until a request may begin, and begins it. One at a time. */
  enter(bytes: number): Promise<void> {
    // what was in the way may just have left, and nobody would wake who waits for it
    if (this.tryEnter(bytes)) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#wanted = { bytes, resolve };
      this.#total.waiting.add(this);
    });
  }

  /** A request is done. */
  leave(bytes: number): void {
    this.#requests--;
    this.#bytes -= bytes;
    this.#total.bytes -= bytes;
    this.retry();
    if (bytes > 0 && this.#total.waiting.size > 0) {
      this.#total.wake();
    }
    if (this.#requests === 0) {
      const waiting = this.#onIdle;
      this.#onIdle = [];
      for (const resolve of waiting) {
        resolve();
      }
    }
  }

  /** Begins the request that is waiting, if it may. */
  retry(): void {
    const wanted = this.#wanted;
    if (wanted !== undefined && this.tryEnter(wanted.bytes)) {
      this.#wanted = undefined;
      this.#total.waiting.delete(this);
      wanted.resolve();
    }
  }

  /** Settled when nothing is in flight. */
  async idle(): Promise<void> {
    while (this.#requests > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle.push(resolve);
      });
    }
  }

  /** Whether nobody else has anything in flight: then even a request above the limit must go on. */
  #isAlone(): boolean {
    return this.#total.bytes === this.#bytes && this.#requests === 0;
  }
}
