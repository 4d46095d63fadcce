import { runAsync } from "@img/format-core";
import { expect, test, vi } from "vitest";
import type { OpenFile } from "../src/open-file.ts";
import { syncFile } from "../src/sync-file.ts";

type Done = (error: NodeJS.ErrnoException | null) => void;

const host = vi.hoisted(() => ({ begun: [] as Done[] }));
vi.mock(import("node:fs"), async (original) => {
  const real = await original();
  const fdatasync = ((_: number, done: Done) => host.begun.push(done)) as unknown as typeof real.fdatasync;
  return { ...real, fdatasync };
});

test("nothing is synced when another sync fails that is under way at the same time, and never again", async () => {
  const file = { fd: 99, label: "file", lost: undefined } as unknown as OpenFile;
  const syncs = Promise.allSettled([runAsync(syncFile(file)), runAsync(syncFile(file))]);
  const error = Object.assign(new Error("i/o error"), { code: "EIO" });
  host.begun[0]?.(error);
  host.begun[1]?.(null);
  expect(await syncs).toMatchObject([
    { status: "rejected", reason: error },
    { status: "rejected", reason: error },
  ]);
  await expect(runAsync(syncFile(file))).rejects.toBe(error);
  expect(host.begun).toHaveLength(2);
});
