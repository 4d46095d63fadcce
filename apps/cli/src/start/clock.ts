/**
 * What stands for the global `performance` in the program: Node makes that one when it is first asked for, which takes 2 ms. Milliseconds since some
 * time before.
 */
export const performance: { readonly now: () => number } = {
  now() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  },
};
