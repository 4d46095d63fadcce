import { closeSync, fsyncSync, openSync } from "node:fs";
import type { Io } from "@img/format-core";
import { askHost } from "./ask-host.ts";
import { close, fsync, open } from "./host-files.ts";

/** Makes the names in a directory durable, where the host can. */
export function* syncDirectory(path: string): Io<void> {
  try {
    yield* askHost(
      path,
      () => syncLater(path),
      () => {
        syncNow(path);
      },
    );
  } catch {
    // not every host can, and the data itself is durable
  }
}

async function syncLater(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await fsync(directory);
  } finally {
    await close(directory);
  }
}

function syncNow(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
