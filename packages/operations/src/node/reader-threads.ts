import { perform, type Io } from "@img/format-core";
import type { ConvertState, SourceReader } from "../convert/source-reader.ts";
import type { SharedImages } from "./shared-images.ts";
import type { HelpingThread } from "./start-thread.ts";
import type { ThreadStarter } from "./thread-starter.ts";

/** What a thread is told that reads. */
export interface ReadJob {
  readonly kind: "read";
  readonly sources: SharedImages;
}

/** What a thread is asked to read: the disk's bytes from `offset` on, into memory that both threads see. */
export interface ReadRequest {
  readonly into: Uint8Array;
  readonly offset: number;
}

/** What a thread says: that requests may come, or how the oldest one went that it hasn't answered yet. */
export type ReaderMessage = "ready" | "read" | "failed";

/** A conversion that is expected to take less than this isn't worth threads, milliseconds: it would end when they begin. */
const worthwhile = 100;

/**
 * Threads that read the sources of a conversion, with descriptors of their own: as many as there may be threads, because decompressing is what takes
 * the time. They are started when there is compressed data, and enough of it. Plain data needs none: the thread pool overlaps
 * reading and writing already.
 *
 * What a thread can't do is done by the thread that converts, which then says what is wrong.
 */
export class ReaderThreads implements SourceReader {
  readonly #sources: SharedImages;
  readonly #starter: ThreadStarter;
  readonly #began = performance.now();
  #threads: ReaderThread[] | undefined;

  /**
   * @param sources - which threads can open as well
   */
  constructor(sources: SharedImages, starter: ThreadStarter) {
    this.#sources = sources;
    this.#starter = starter;
  }

  /** Threads that have read something. */
  get helped(): number {
    return (this.#threads ?? []).filter(({ helped }) => helped).length;
  }

  allocate(length: number): Uint8Array {
    return new Uint8Array(new SharedArrayBuffer(length));
  }

  consider({ done, total, packed }: ConvertState): void {
    const elapsed = performance.now() - this.#began;
    if (this.#threads !== undefined || !packed || elapsed < worthwhile / 4) {
      return;
    }
    if ((elapsed / Math.max(done, 1)) * (total - done) < worthwhile) {
      return;
    }
    // the thread that converts has little to do then, so all processors have a reader
    this.#threads = [];
    const { canStart, most } = this.#starter;
    const job: ReadJob = { kind: "read", sources: this.#sources };
    while (canStart && this.#threads.length < most) {
      const worker = this.#starter.start(job);
      if (worker === undefined) {
        break;
      }
      this.#threads.push(new ReaderThread(worker));
    }
  }

  *read(into: Uint8Array, offset: number): Io<boolean> {
    const thread = this.#leastBusy();
    if (thread === undefined) {
      yield* this.#letStart();
      return false;
    }
    return yield* perform({ label: "reader thread", async: () => thread.read({ into, offset }) });
  }

  /** A thread that starts asks this one for something several times: it would take long if nobody answered while there is work. */
  *#letStart(): Io<void> {
    if (this.#threads !== undefined && this.#threads.length > 0) {
      yield* perform({ label: "the event loop", async: () => new Promise<void>((resolve) => setImmediate(resolve)) });
    }
  }

  #leastBusy(): ReaderThread | undefined {
    let found: ReaderThread | undefined;
    for (const thread of this.#threads ?? []) {
      if (thread.isReady && (found === undefined || thread.waiting < found.waiting)) {
        found = thread;
      }
    }
    return found;
  }

  /** Ends the threads, and waits until they have closed what they opened. */
  close(): Io<void> {
    return perform({
      label: "reader threads",
      async: async () => {
        await Promise.all((this.#threads ?? []).map((thread) => thread.close()));
      },
      sync: () => undefined,
    });
  }
}

/** One thread, seen from the one that asks it. */
class ReaderThread {
  readonly #worker: HelpingThread;
  readonly #ended: Promise<void>;
  /** Who waits for an answer; they come in the order of the requests. */
  readonly #waiting: ((done: boolean) => void)[] = [];
  #ready = false;
  #helped = false;

  constructor(worker: HelpingThread) {
    this.#worker = worker;
    this.#worker.on("message", (message: ReaderMessage) => {
      this.#hear(message);
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.on("error", () => {
        // the event that follows says the same: nobody reads here any more
      });
      this.#worker.on("exit", () => {
        this.#ready = false;
        for (const answer of this.#waiting.splice(0)) {
          answer(false);
        }
        resolve();
      });
    });
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** Whether it has read anything. */
  get helped(): boolean {
    return this.#helped;
  }

  /** Requests that aren't answered. */
  get waiting(): number {
    return this.#waiting.length;
  }

  read(request: ReadRequest): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#worker.postMessage(request);
    });
  }

  async close(): Promise<void> {
    // who isn't ready reads it then
    this.#worker.postMessage("end");
    if (!this.#ready) {
      await this.#worker.endEarly();
    }
    await this.#ended;
  }

  #hear(message: ReaderMessage): void {
    if (message === "ready") {
      this.#ready = true;
      return;
    }
    this.#helped ||= message === "read";
    this.#waiting.shift()?.(message === "read");
  }
}
