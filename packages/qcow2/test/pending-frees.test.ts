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
