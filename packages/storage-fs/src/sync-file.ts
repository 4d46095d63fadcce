import { fdatasync, fdatasyncSync } from "node:fs";
import type { Io } from "@img/format-core";
import { callHost, nodeCommand } from "./host-call.ts";
import type { OpenFile } from "./open-file.ts";

/**
 * Makes contents and length durable. In the asynchronous world it always waits in the thread pool: it takes as long as the medium does.
 *
 * Once it has failed, it fails for good: the host may have dropped the pages that it could not write, and the next call would say that
 * all is well. It tells one of two calls at the same time, so neither has succeeded if one fails before the other ends.
 */
export function* syncFile(file: OpenFile): Io<void> {
  checkKept(file);
  try {
    yield* callHost(
      file.label,
      nodeCommand(
        () => {
          fdatasyncSync(file.fd);
        },
        (done) => {
          fdatasync(file.fd, done);
        },
      ),
      false,
    );
  } catch (error) {
    file.lost ??= { error };
  }
  checkKept(file);
}

function checkKept({ lost }: OpenFile): void {
  if (lost !== undefined) {
    throw lost.error;
  }
}
