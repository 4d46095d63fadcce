/**
 * Makes libuv's pool two threads, unless the user wants another number: they read and write, while this thread looks for zeroes and gives out places. More would
 * only wait for the lock of the one file that is written. To be called before the pool is used, which has that size for good.
 */
export function useTwoCopiers(env: NodeJS.ProcessEnv = process.env): void {
  env["UV_THREADPOOL_SIZE"] ??= "2";
}
