/** Drivers that stand before another node, or for none. */
export const filterDrivers: readonly string[] = [
  "blkdebug",
  "compress",
  "copy-on-read",
  "null-aio",
  "null-co",
  "throttle",
];
