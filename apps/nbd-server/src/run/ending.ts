import type { NbdObserver } from "@img/nbd";

const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** When a server is to end: when a signal asks for it, or, unless it is to go on, when the last client has left that had chosen an export. */
export class Ending {
  /** Settled then. */
  readonly reached: Promise<void>;
  readonly observer: NbdObserver;
  readonly #stop: () => void;

  /** @param persistent - clients that leave are no reason */
  constructor(persistent: boolean) {
    let reach: () => void = () => undefined;
    this.reached = new Promise((resolve) => {
      reach = resolve;
    });
    // a second signal does what it does without us: it ends the process at once
    for (const signal of signals) {
      process.once(signal, reach);
    }
    this.#stop = (): void => {
      for (const signal of signals) {
        process.off(signal, reach);
      }
    };
    const using = new Set<number>();
    this.observer = {
      ready: ({ id }) => {
        using.add(id);
      },
      disconnected: ({ id }) => {
        if (using.delete(id) && using.size === 0 && !persistent) {
          reach();
        }
      },
    };
  }

  /** Signals do what they do without us again. */
  dispose(): void {
    this.#stop();
  }
}
