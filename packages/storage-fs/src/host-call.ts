import { perform, type Io } from "@img/format-core";

/** One question to the host that can be asked in both ways. */
export interface HostCall<T> {
  /** Blocks the thread. */
  sync(): T;
  /** Waits in the thread pool. */
  async(): Promise<T>;
}

/**
 * A call of Node's `fs` in both ways.
 *
 * @param sync - for example `() => fstatSync(fd)`
 * @param start - for example `(done) => fstat(fd, done)`
 */
export function nodeCall<T>(
  sync: () => T,
  start: (done: (error: NodeJS.ErrnoException | null, value: T) => void) => void,
): HostCall<T> {
  return {
    sync,
    async: () =>
      new Promise<T>((resolve, reject) => {
        start((error, value) => {
          if (error === null) {
            resolve(value);
          } else {
            reject(error);
          }
        });
      }),
  };
}

/** A call of Node's `fs` that answers nothing, in both ways. */
export function nodeCommand(
  sync: () => void,
  start: (done: (error: NodeJS.ErrnoException | null) => void) => void,
): HostCall<void> {
  return nodeCall(sync, (done) => {
    start((error) => {
      done(error, undefined);
    });
  });
}

/**
 * Makes a call in whichever world the operation runs in.
 *
 * @param atOnce - whether the asynchronous world may block, too
 */
export function callHost<T>(label: string, call: HostCall<T>, atOnce: boolean): Io<T> {
  return perform({ label, sync: () => call.sync(), async: () => (atOnce ? call.sync() : call.async()) });
}
