import { MemoryStorage, runSync } from "@img/format-core";
import { expect, test } from "vitest";
import { createImage } from "../src/index.ts";
import { CompressedSpace } from "../src/write/compressed-space.ts";
import { openWriter } from "./support/open-writer.ts";
import { expectImgError } from "./support/expect-error.ts";

test("room that can't be counted is given up in all host clusters that it touches", async () => {
  const storage = new MemoryStorage();
  runSync(createImage(storage, { size: 64 * 512, clusterSize: 512, refcountBits: 2 }));
  const { allocator, caches } = openWriter(storage);
  const space = new CompressedSpace(allocator, 512, 1);
  // the second reaches into the next host cluster
  const [first, second] = runSync(space.reserve([400, 300]));
  first!.commit();
  const cluster = Math.floor(first!.offset / 512);
  // somebody else's references, as many as two bits hold
  runSync(allocator.raise(cluster));
  runSync(allocator.raise(cluster));
  await expectImgError("ERR_IMG_LIMIT", "refcount 4", () => second!.commit());
  space.close();
  const references = Array.from({ length: 3 }, () => ({ cluster, use: "compressed", discard: false }) as const);
  runSync(allocator.applyFrees(references));
  const again = runSync(allocator.reserve(2));
  expect([again.first, again.count]).toEqual([cluster, 2]);
  again.release();
  runSync(caches.flushAll());
  caches.shrink();
  expect(caches.refcountBlocksAreEmpty).toBe(true);
});
