import { constants, readFileSync } from "node:fs";

/** How a descriptor was opened. */
export interface DescriptorFlags {
  readonly readable: boolean;
  readonly writable: boolean;
  /** Every write goes to the end, whatever offset it is given (Linux). */
  readonly append: boolean;
  readonly direct: boolean;
}

/** How an open descriptor was opened; `undefined` where the host doesn't tell (other systems than Linux, or no `/proc`). */
export function descriptorFlags(fd: number): DescriptorFlags | undefined {
  if (process.platform !== "linux") {
    return undefined;
  }
  let info: string;
  try {
    info = readFileSync(`/proc/self/fdinfo/${String(fd)}`, "latin1");
  } catch {
    return undefined;
  }
  const octal = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  if (octal === undefined) {
    return undefined;
  }
  const flags = Number.parseInt(octal, 8);
  const mode = flags & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR);
  return {
    readable: mode !== constants.O_WRONLY,
    writable: mode !== constants.O_RDONLY,
    append: (flags & constants.O_APPEND) !== 0,
    direct: (flags & constants.O_DIRECT) !== 0,
  };
}
