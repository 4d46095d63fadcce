/**
 * Makes libuv's pool one thread, unless the user wants another number: it writes what this thread has read. Several would wait for the lock of the one file in turns,
 * and fall asleep and be woken up in between, which takes longer than they gain. To be called before the pool is used, which has that size for good.
 */
export function useOneWriter(env: NodeJS.ProcessEnv = process.env): void {
  env["UV_THREADPOOL_SIZE"] ??= "1";
}
