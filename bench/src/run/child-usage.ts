import { createRequire } from "node:module";

/** `RUSAGE_CHILDREN` of `getrusage(2)`: all children that have ended and were waited for. */
const ofChildren = -1;
/** Bytes of `struct rusage` on 64-bit Linux; it begins with two `struct timeval`, of user and of system time. */
const structLength = 144;

let loaded: (() => number) | undefined;

/**
 * Seconds that the children of this process have used of all processors so far, to the microsecond; `undefined` where the native helper
 * isn't installed or the system is another one.
 */
export function childUsage(): number | undefined {
  loaded ??= load();
  const seconds = loaded();
  return Number.isNaN(seconds) ? undefined : seconds;
}

function load(): () => number {
  if (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) {
    return () => NaN;
  }
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const getrusage = koffi.load(null).func("int getrusage(int who, uint8_t *usage)") as (
      who: number,
      usage: Uint8Array,
    ) => number;
    return () => read(getrusage);
  } catch {
    return () => NaN;
  }
}

function read(getrusage: (who: number, usage: Uint8Array) => number): number {
  const usage = new BigInt64Array(structLength / 8);
  if (getrusage(ofChildren, new Uint8Array(usage.buffer)) !== 0) {
    return NaN;
  }
  const [user = 0n, userMicro = 0n, system = 0n, systemMicro = 0n] = usage;
  return Number(user + system) + Number(userMicro + systemMicro) / 1e6;
}
