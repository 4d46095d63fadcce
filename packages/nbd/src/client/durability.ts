/** Remembers which changes the server has acknowledged, and which of them it has made durable. */
export class Durability {
  #inFlight = 0;
  #acknowledged = 0;
  #synced = 0;

  /** Nothing would be missing if the server had forgotten everything that it hasn't made durable. */
  get isSafe(): boolean {
    return this.#acknowledged === this.#synced;
  }

  /** {@link isSafe}, and no change is on its way to become acknowledged. */
  get isIdle(): boolean {
    return this.isSafe && this.#inFlight === 0;
  }

  /** Does something that changes things; until it has ended, more may become acknowledged. */
  async change<T>(work: () => Promise<T>): Promise<T> {
    this.#inFlight++;
    try {
      return await work();
    } finally {
      this.#inFlight--;
    }
  }

  /** A change was acknowledged. To be said at once, before anything else can be heard of the connection. */
  acknowledge(): void {
    this.#acknowledged++;
  }

  /** Sends a flush: what was acknowledged before is durable afterwards. */
  async sync(send: () => Promise<unknown>): Promise<void> {
    const covered = this.#acknowledged;
    await send();
    this.#synced = Math.max(this.#synced, covered);
  }
}
