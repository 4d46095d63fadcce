import { closeSync, fsyncSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import type { Io } from "@img/format-core";
import { askHost } from "./ask-host.ts";

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
    await directory.sync();
  } finally {
    await directory.close();
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
