import type { PendingRequest } from "./pending-request.ts";

/** Bytes that are sent together at most, unless one request has more: while they are under way, nobody knows which of them have gone. */
const batchLimit = 64 * 1024;

/** A request as it is sent. */
export interface OutgoingRequest {
  /** The header, and what follows it. */
  readonly buffers: readonly Uint8Array[];
  /** Their bytes. */
  readonly length: number;
  /** What waits for the answer, if there is one. */
  readonly pending: PendingRequest | undefined;
}

/** Requests that wait to be sent, in order. */
export class Outbox {
  #requests: OutgoingRequest[] = [];

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  /** Puts a request behind the others. */
  push(request: OutgoingRequest): void {
    this.#requests.push(request);
  }

  /** Takes what is to be sent together: one request, or several of 64 KiB at most. */
  next(): OutgoingRequest[] {
    let length = 0;
    let count = 0;
    for (const request of this.#requests) {
      length += request.length;
      if (count > 0 && length > batchLimit) {
        break;
      }
      count++;
    }
    return this.#requests.splice(0, count);
  }

  /** Forgets everything. */
  clear(): void {
    this.#requests = [];
  }
}
