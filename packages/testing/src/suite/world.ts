import { runAsync, runSync, type Io } from "@img/format-core";

/** How operations are driven: as promises, or as plain calls. */
export type World = "async" | "sync";

/** Drives an operation in a world. */
export async function runIn<T>(world: World, io: Io<T>): Promise<T> {
  return world === "sync" ? runSync(io) : await runAsync(io);
}
