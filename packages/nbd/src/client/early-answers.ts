import type { PendingRequest } from "./pending-request.ts";

/** Milliseconds in which the stream passes on the next of what is under way. */
const patience = 5000;
const none: readonly PendingRequest[] = [];

/**
 * WRITEs that are answered although the stream hasn't said yet that they are sent: some streams say it late. Until then the caller must not touch the data,
 * and a server that answers what it doesn't take breaks the protocol.
 */
export class EarlyAnswers {
  readonly #onLate: () => void;
  readonly #requests = new Set<PendingRequest>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param onLate - called when nothing was sent within 5 s */
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }

  /** Keeps an answer back until the request is sent. */
  hold(request: PendingRequest): void {
    this.#requests.add(request);
    this.#timer ??= setTimeout(this.#onLate, patience);
  }

  /** Something was sent. @returns those that {@link PendingRequest.isSent} is set of now */
  release(): readonly PendingRequest[] {
    if (this.#requests.size === 0) {
      return none;
    }
    const released = [...this.#requests].filter(({ isSent }) => isSent);
    for (const request of released) {
      this.#requests.delete(request);
    }
    clearTimeout(this.#timer);
    this.#timer = this.#requests.size === 0 ? undefined : setTimeout(this.#onLate, patience);
    return released;
  }

  /** Forgets all. @returns those whose answers were kept back */
  clear(): readonly PendingRequest[] {
    const all = [...this.#requests];
    this.#requests.clear();
    clearTimeout(this.#timer);
    return all;
  }
}
