import { expect, it } from "vitest";
import { PendingFrees } from "../src/write/pending-frees.ts";

it("takes as many clusters as a large disk has", () => {
  const frees = new PendingFrees();
  const count = 1_000_000;
  for (let cluster = 0; cluster < count; cluster++) {
    frees.add({ cluster, use: "data", discard: true });
  }
  frees.noteIdle();
  const taken = frees.takeIdle();
  expect(taken).toHaveLength(count);
  expect(frees.isEmpty).toBe(true);
  frees.putBack(taken);
  expect(frees.takeIdle()).toHaveLength(count);
});

it("says of a cluster that it is waiting until all its references are counted", () => {
  const frees = new PendingFrees();
  const free = { cluster: 7, use: "compressed", discard: false } as const;
  frees.add(free);
  frees.add(free);
  frees.noteIdle();
  frees.takeIdle();
  expect(frees.settledFrom(5, 10)).toBe(2);
  frees.release(free);
  expect(frees.settledFrom(5, 10)).toBe(2);
  frees.release(free);
  expect(frees.settledFrom(5, 10)).toBe(10);
});
