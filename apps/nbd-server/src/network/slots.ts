/** Clients that may wait for a slot; more are turned away. */
const waitingLimit = 128;

/** Lets so many in at once, and the others wait their turn, as they would in the backlog of a socket that nobody accepts from. */
export class Slots {
  readonly #count: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param count - `Infinity`: as many as come */
  constructor(count: number) {
    this.#count = count;
  }

  /** Runs `work` when there is a slot, and gives it back then; `false`: too many wait already. */
  async run(work: () => Promise<void>): Promise<boolean> {
    if (this.#taken >= this.#count) {
      if (this.#waiting.length >= waitingLimit) {
        return false;
      }
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    } else {
      this.#taken++;
    }
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) {
        this.#taken--;
      } else {
        // the slot is handed over: nobody who comes now is first
        next();
      }
    }
    return true;
  }
}
