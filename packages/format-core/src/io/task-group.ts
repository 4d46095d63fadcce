import { isPromise, type Io, type Step } from "./io.ts";
import { drive } from "./run-async.ts";
import { runSync } from "./run-sync.ts";

/**
 * Operations that go on while the one that starts them does something else: each makes progress by itself, whatever its starter waits
 * for. In the synchronous world each is done when {@link start} returns.
 *
 * Whoever starts any has to {@link join}, also after a failure of its own.
 */
export class TaskGroup {
  readonly #limit: number;
  readonly #inFlight = new Set<Promise<void>>();
  #failed = false;
  #failure: unknown;

  /** @param limit - operations in flight, ≥ 1 */
  constructor(limit: number) {
    if (!(limit >= 1)) {
      throw new RangeError(`limit ${String(limit)}: expected at least 1`);
    }
    this.#limit = limit;
  }

  /** Whether one of them has failed. Starting more is useless then. */
  get hasFailed(): boolean {
    return this.#failed;
  }

  /** Starts an operation; waits while as many are in flight as may be. Its failure is thrown by {@link join}. */
  *start(operation: Io<void>): Io<void> {
    const step: Step<void> = {
      label: "operations in parallel",
      async: (signal) => this.#startAsync(operation, signal),
      sync: (signal) => {
        this.#attempt(() => {
          runSync(operation, signal);
        });
      },
    };
    yield step;
  }

  /** Waits for all that were started. @throws the first failure */
  *join(): Io<void> {
    const step: Step<void> = {
      label: "operations in parallel",
      async: async () => {
        while (this.#inFlight.size > 0) {
          await Promise.all(this.#inFlight);
        }
      },
      sync: () => undefined,
    };
    if (this.#inFlight.size > 0) {
      yield step;
    }
    if (this.#failed) {
      throw this.#failure as Error;
    }
  }

  #startAsync(operation: Io<void>, signal: AbortSignal | undefined): Promise<void> | undefined {
    this.#attempt(() => {
      const answer = drive(operation, signal);
      if (isPromise(answer)) {
        const task: Promise<void> = answer
          .catch((error: unknown) => {
            this.#fail(error);
          })
          .finally(() => {
            this.#inFlight.delete(task);
          });
        this.#inFlight.add(task);
      }
    });
    return this.#inFlight.size < this.#limit ? undefined : Promise.race(this.#inFlight);
  }

  #attempt(begin: () => void): void {
    try {
      begin();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!this.#failed) {
      this.#failed = true;
      this.#failure = error;
    }
  }
}
