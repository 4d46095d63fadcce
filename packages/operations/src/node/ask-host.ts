import { perform, type Io } from "@img/format-core";

/**
 * A call of Node's `fs` in whichever world the operation runs in.
 *
 * @param path - what is asked about
 * @param async - for example `() => stat(path)`
 * @param sync - for example `() => statSync(path)`
 */
export function askHost<T>(path: string, async: () => Promise<T>, sync: () => T): Io<T> {
  return perform({ label: path, async, sync });
}
