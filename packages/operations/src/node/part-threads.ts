import { perform, storageAllocatedSize, type FormatAccess, type Io } from "@img/format-core";
import type { PartHelper } from "../parts/part-helper.ts";
import type { SharedParts } from "../parts/shared-parts.ts";
import type { HelpingThread } from "./start-thread.ts";
import type { ThreadStarter } from "./thread-starter.ts";

/** What a thread is told that helps with parts of a disk. */
export interface PartJob {
  readonly kind: string;
  /** Bytes of the disk. */
  readonly total: number;
  /** Of the `SharedParts`. */
  readonly memory: SharedArrayBuffer;
}

/** What it says: that it has opened what it works on, and that it has finished a part. */
export type PartMessage = "begun" | "helped";

/** What is expected to take less than this isn't worth threads, milliseconds: it would end when they begin. */
const worthwhile = 80;

/**
 * Milliseconds before that is judged: a disk that begins with data may have little more. Where the files are short, it takes longer: code that has just begun to
 * run seems to have much to do, and a thread that starts in vain is waited for at the end.
 */
const patience = { usual: 8, short: 40 };

/** Bytes in the images' files: below, they are short; from the second on, it needn't be judged, because reading them alone takes that long. */
const [short, surelyWorthwhile] = [32 * 1024 * 1024, 256 * 1024 * 1024];

/** Threads that help with parts of a disk, each with descriptors of its own. They are started when there is enough to do. */
export class PartThreads implements PartHelper {
  readonly #job: (parts: SharedParts) => PartJob;
  readonly #images: readonly FormatAccess[];
  readonly #starter: ThreadStarter;
  readonly #began = performance.now();
  #ended: Promise<void>[] | undefined;
  /** Threads that haven't begun to work. */
  readonly #starting = new Set<HelpingThread>();
  /** Bytes in the images' files; 0: nobody knows. `undefined`: that wasn't asked. */
  #size: number | undefined;
  #helped = 0;

  /**
   * @param job - what each thread is told
   * @param images - what is read
   */
  constructor(job: (parts: SharedParts) => PartJob, images: readonly FormatAccess[], starter: ThreadStarter) {
    this.#job = job;
    this.#images = images;
    this.#starter = starter;
  }

  /** Threads that have finished a part. */
  get helped(): number {
    return this.#helped;
  }

  *consider(parts: SharedParts): Io<void> {
    if (this.#ended === undefined && (yield* this.#isWorthwhile(parts))) {
      this.#startAll(parts);
    }
    // a thread that starts asks this one for something several times: it would take long if nobody answered while there is work
    if (this.#starting.size > 0) {
      yield* perform({ label: "the event loop", async: () => new Promise<void>((resolve) => setImmediate(resolve)) });
    }
  }

  *#isWorthwhile({ done, total }: SharedParts): Io<boolean> {
    if (this.#starter.isPrepared) {
      return true;
    }
    const size = (this.#size ??= yield* this.#askSize());
    if (size >= surelyWorthwhile) {
      return true;
    }
    const elapsed = performance.now() - this.#began;
    const enough = size > 0 && size < short ? patience.short : patience.usual;
    return done > 0 && elapsed >= enough && (elapsed / done) * (total - done) >= worthwhile;
  }

  *#askSize(): Io<number> {
    let size = 0;
    for (const storage of this.#images.flatMap((image) => image.storages())) {
      size += (yield* storageAllocatedSize(storage)) ?? 0;
    }
    return size;
  }

  #startAll(parts: SharedParts): void {
    if (this.#ended !== undefined) {
      return;
    }
    this.#ended = [];
    const { canStart, most } = this.#starter;
    while (canStart && this.#ended.length < most - 1) {
      const worker = this.#starter.start(this.#job(parts));
      if (worker === undefined) {
        break;
      }
      this.#ended.push(this.#watch(worker));
    }
  }

  /** Resolves when the thread has ended, however: what it didn't finish is done once more. */
  #watch(worker: HelpingThread): Promise<void> {
    this.#starting.add(worker);
    return new Promise((resolve) => {
      worker.on("message", (message: PartMessage) => {
        this.#starting.delete(worker);
        this.#helped += message === "helped" ? 1 : 0;
      });
      worker.on("error", () => {
        // the event that follows says the same
      });
      worker.on("exit", () => {
        this.#starting.delete(worker);
        resolve();
      });
    });
  }

  *end(): Io<void> {
    const ended = this.#ended;
    if (ended !== undefined && ended.length > 0) {
      yield* perform({ label: "helping threads", async: () => this.#allEnded(ended) });
    }
  }

  /** Who still starts comes too late; where it can't be ended any more, it finds no part that is of interest. */
  async #allEnded(ended: readonly Promise<void>[]): Promise<void> {
    for (const worker of this.#starting) {
      void worker.endEarly();
    }
    await Promise.all(ended);
  }
}
