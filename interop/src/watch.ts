/** What a run of cases took at most. */
export class Watch {
  readonly #startRss = process.memoryUsage().rss;
  #slowest = 0;
  #slowestCase = "";
  #mostRss = 0;
  #cases = 0;

  /** Runs one case. */
  async case<T>(name: () => string, body: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await body();
    } catch (cause) {
      throw new Error(`${name()}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    } finally {
      this.#note(performance.now() - start, name);
    }
  }

  #note(milliseconds: number, name: () => string): void {
    this.#cases++;
    if (milliseconds > this.#slowest) {
      this.#slowest = milliseconds;
      this.#slowestCase = name();
    }
    if (this.#cases % 16 === 0) {
      this.#mostRss = Math.max(this.#mostRss, process.memoryUsage().rss);
    }
  }

  /** How many cases ran. */
  get cases(): number {
    return this.#cases;
  }

  /** Milliseconds that the slowest case took, and which that was. */
  get slowest(): { readonly milliseconds: number; readonly name: string } {
    return { milliseconds: this.#slowest, name: this.#slowestCase };
  }

  /** Bytes by which the process grew at most. */
  get growth(): number {
    return Math.max(0, this.#mostRss - this.#startRss);
  }

  /** For people. */
  toString(): string {
    const growth = Math.round(this.growth / 1024 / 1024);
    return `${String(this.#cases)} cases, slowest ${this.#slowest.toFixed(0)} ms, process grew by ${String(growth)} MiB`;
  }
}
