import { Mutex, type Io } from "@img/format-core";
import { greatestRefcount } from "../refcounts/refcount.ts";
import type { Allocator } from "./allocator.ts";
import type { Reservation } from "./reservation.ts";

/** A host cluster that compressed clusters are packed into. It stays reserved while it is filled or written to. */
interface Host {
  readonly cluster: number;
  /** Compressed clusters with a part in it, counted or about to be. */
  references: number;
  /** Of these, those that are being written. */
  users: number;
  /** More may come. */
  open: boolean;
  readonly reservation: Reservation;
}

/** Room for one compressed cluster. */
export interface CompressedPlace {
  /** Host offset, bytes. */
  readonly offset: number;
  readonly length: number;
  /**
   * Counts the reference to each host cluster that is touched; in one go with the link.
   * @throws ImgError `ERR_IMG_LIMIT` when a refcount is too large for its width; the room is given up then
   */
  commit(): void;
  /** Gives the room up. The bytes stay unused. */
  abort(): void;
}

/** Packs compressed clusters behind each other, byte by byte, over the borders of host clusters where they are neighbours. */
export class CompressedSpace {
  readonly #allocator: Allocator;
  readonly #clusterSize: number;
  readonly #mostReferences: number;
  readonly #mutex = new Mutex("the space for compressed clusters");
  #current: Host | undefined;
  /** Bytes that are taken of {@link #current}. */
  #filled = 0;

  constructor(allocator: Allocator, clusterSize: number, refcountOrder: number) {
    this.#allocator = allocator;
    this.#clusterSize = clusterSize;
    this.#mostReferences = greatestRefcount(refcountOrder);
  }

  /**
   * Takes room for several, behind each other where it can be. All of them are the caller's, or none.
   * @param lengths - bytes, 1 … the size of a cluster each
   */
  *reserve(lengths: readonly number[]): Io<CompressedPlace[]> {
    yield* this.#mutex.acquire();
    const places: CompressedPlace[] = [];
    try {
      for (const length of lengths) {
        places.push(yield* this.#reserve(length));
      }
    } catch (error) {
      for (const place of places) {
        place.abort();
      }
      throw error;
    } finally {
      this.#mutex.release();
    }
    return places;
  }

  *#reserve(length: number): Io<CompressedPlace> {
    const size = this.#clusterSize;
    const current = this.#current;
    const room = current === undefined || current.references >= this.#mostReferences ? 0 : size - this.#filled;
    if (current !== undefined && length <= room) {
      const offset = current.cluster * size + this.#filled;
      this.#filled += length;
      return yield* this.#place(offset, length, [current]);
    }
    const next = yield* this.#newHost();
    if (current !== undefined && room > 0 && next.cluster === current.cluster + 1) {
      const offset = current.cluster * size + this.#filled;
      this.#current = next;
      this.#filled = length - room;
      try {
        return yield* this.#place(offset, length, [current, next]);
      } finally {
        // only now: it has a user again, who keeps it reserved
        this.#close(current);
      }
    }
    if (current !== undefined) {
      this.#close(current);
    }
    this.#current = next;
    this.#filled = length;
    return yield* this.#place(next.cluster * size, length, [next]);
  }

  *#newHost(): Io<Host> {
    const reservation = yield* this.#allocator.reserve(1);
    return { cluster: reservation.first, references: 0, users: 0, open: true, reservation };
  }

  *#place(offset: number, length: number, hosts: readonly Host[]): Io<CompressedPlace> {
    const slices = new Map<Host, number>();
    for (const host of hosts) {
      host.references++;
      host.users++;
    }
    const leave = (): void => {
      for (const sliceOffset of slices.values()) {
        this.#allocator.unpin(sliceOffset);
      }
      for (const host of hosts) {
        this.#leave(host);
      }
    };
    try {
      for (const host of hosts) {
        slices.set(host, (yield* this.#allocator.pinForRaise(host.cluster)).sliceOffset);
      }
    } catch (error) {
      leave();
      throw error;
    }
    const commit = (): void => {
      try {
        for (const [host, sliceOffset] of slices) {
          this.#allocator.raisePinned(sliceOffset, host.cluster);
        }
      } finally {
        leave();
      }
    };
    return { offset, length, commit, abort: leave };
  }

  /** Nothing more is packed into `host`. */
  #close(host: Host): void {
    host.open = false;
    this.#settle(host);
  }

  #leave(host: Host): void {
    host.users--;
    this.#settle(host);
  }

  /** What is counted is kept by its refcount, and what isn't is free again. */
  #settle(host: Host): void {
    if (!host.open && host.users === 0) {
      host.reservation.release();
    }
  }

  /** Ends the packing into the current cluster: for when somebody else is going to refer to it, whose references nobody counts here. */
  close(): void {
    const current = this.#current;
    this.#current = undefined;
    if (current !== undefined) {
      this.#close(current);
    }
  }
}
