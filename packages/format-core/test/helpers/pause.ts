import { perform, type Io } from "../../src/index.ts";

/** A point at which operations stop until the test lets them go on. */
export class Pause {
  readonly #waiting: { readonly go: () => void; readonly fail: (error: unknown) => void }[] = [];

  /** How many operations stand here. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Stops a promise's caller here. */
  here(): Promise<void> {
    return new Promise((go, fail) => {
      this.#waiting.push({ go, fail });
    });
  }

  /** Stops an operation here. */
  io(): Io<void> {
    return perform({ label: "pause", async: () => this.here() });
  }

  /** Lets the one that has waited longest go on. */
  async next(): Promise<void> {
    this.#waiting.shift()!.go();
    await turn();
  }

  /** Makes the one that has waited longest fail. */
  async fail(error: unknown): Promise<void> {
    this.#waiting.shift()!.fail(error);
    await turn();
  }

  /** Lets all go on, also those that come here meanwhile. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.next();
    }
  }
}

/** Lets everything that is ready run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
