import { isMainThread, Worker, workerData } from "node:worker_threads";

/** What all threads of a bare program count in. */
type Counters = Int32Array<SharedArrayBuffer>;

/** The part of one thread. */
export interface Share {
  /** The index of the next piece that no thread has taken. */
  readonly take: () => number;
  /** Reserves bytes at the end of what all threads write together, below 2 GiB. @returns where they begin */
  readonly reserve: (length: number) => number;
}

/** Does the work in this thread and in `threads - 1` more, which help as soon as they have started, and then `end` when all are ready. */
export function inThreads(threads: number, work: (share: Share) => void, end: () => void = () => undefined): void {
  const counters: Counters = isMainThread ? new Int32Array(new SharedArrayBuffer(8)) : (workerData as Counters);
  const share: Share = {
    take: () => Atomics.add(counters, 0, 1),
    reserve: (length) => Atomics.add(counters, 1, length),
  };
  if (!isMainThread) {
    work(share);
    return;
  }
  let running = threads;
  const ready = (): void => {
    if (--running === 0) {
      end();
    }
  };
  const [, program = "", ...argv] = process.argv;
  for (let index = 1; index < threads; index++) {
    new Worker(program, { workerData: counters, argv }).once("exit", ready);
  }
  work(share);
  ready();
}
