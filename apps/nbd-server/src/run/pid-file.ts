import { rmSync, writeFileSync } from "node:fs";
import { wrapHostError } from "@img/format-core";

/**
 * Writes the process's number into a file that only its owner can read.
 * @returns what removes it again
 * @throws ImgError with the host's code
 */
export function writePidFile(path: string): () => void {
  try {
    writeFileSync(path, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    throw wrapHostError(error, `cannot write the pid file ${path}`, path);
  }
  return () => {
    rmSync(path, { force: true });
  };
}
