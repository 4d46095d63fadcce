import fc from "fast-check";
import { expect, test } from "vitest";
import { ReplyMemory, SlabPool } from "../../src/server/reply-memory.ts";
import { ReplyWriter } from "../../src/server/reply-writer.ts";
import type { DuplexStream } from "../../src/stream/duplex-stream.ts";

/** A stream that takes every write as the next of `ways` says, and keeps what it took when it says so. */
function streamOf(ways: readonly ("at once" | "later" | "never")[], taken: number[]): DuplexStream {
  let writes = 0;
  const unused = (): never => {
    throw new Error("not used");
  };
  return {
    label: "test",
    read: unused,
    end: unused,
    destroy: unused,
    write: (buffers) => {
      const way = ways[writes++ % ways.length];
      const keep = (): void => {
        taken.push(...buffers.flatMap((buffer) => [...buffer]));
      };
      if (way === "later") {
        // what was written must still be there then
        return new Promise<void>((resolve) => setImmediate(resolve)).then(keep);
      }
      if (way === "never") {
        throw new Error("broken");
      }
      keep();
      return undefined;
    },
  };
}

test("a reply takes little more memory than it has bytes, and the longest one's is used again", () => {
  const pool = new SlabPool();
  const memory = new ReplyMemory(pool);
  for (const length of [2 ** 20, 2 ** 22, 2 ** 25]) {
    const { slab, start, end } = memory.take(20, length);
    expect(end - start).toBe(20 + length);
    expect(slab.memory.length).toBeLessThanOrEqual(length + 2 ** 16);
    memory.release({ slab, start, end });
    expect(memory.take(20, length).slab).toBe(slab);
  }
});

test("replies arrive whole and in order, whether the stream takes them at once or later", async () => {
  const way = fc.constantFrom("at once" as const, "later" as const);
  const reply = fc.record({ length: fc.integer({ min: 1, max: 3000 }), flush: fc.boolean(), wait: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(way, { minLength: 1 }), fc.array(reply), async (ways, replies) => {
      const taken: number[] = [];
      const expected: number[] = [];
      const sent: number[] = [];
      const memory = new ReplyMemory(new SlabPool());
      const writer = new ReplyWriter(streamOf(ways, taken), memory, (error) => {
        throw error;
      });
      for (const [index, { length, flush, wait }] of replies.entries()) {
        const region = memory.take(length);
        region.slab.memory.fill(index % 256, region.start, region.end);
        expected.push(...Array.from({ length }, () => index % 256));
        writer.add(region, () => sent.push(index));
        if (flush) {
          writer.flush();
        }
        if (wait) {
          await writer.taken();
        }
        expect(writer.untakenBytes).toBe(expected.length - taken.length);
      }
      await writer.settled();
      expect(taken).toEqual(expected);
      expect(sent).toEqual(replies.map((_, index) => index));
      expect([writer.isBusy, writer.pendingBytes, writer.untakenBytes]).toEqual([false, 0, 0]);
    }),
    { numRuns: 60 },
  );
});

test("memory of what the stream takes at once is used for the next reply", () => {
  const memory = new ReplyMemory(new SlabPool());
  const writer = new ReplyWriter(streamOf(["at once"], []), memory, () => undefined);
  const places = Array.from({ length: 5 }, () => {
    const region = memory.take(1000);
    writer.add(region);
    writer.flush();
    return [region.slab.memory.buffer, region.start];
  });
  expect(new Set(places.map(([buffer]) => buffer)).size).toBe(1);
  expect(new Set(places.map(([, start]) => start)).size).toBe(1);
});

test("when the stream fails, that is told once, and everything counts as sent", async () => {
  const failures: unknown[] = [];
  let sent = 0;
  const memory = new ReplyMemory(new SlabPool());
  const writer = new ReplyWriter(streamOf(["later", "never"], []), memory, (error) => failures.push(error));
  for (let reply = 0; reply < 6; reply++) {
    writer.add(memory.take(100), () => sent++);
    writer.flush();
  }
  await writer.settled();
  writer.add(memory.take(100), () => sent++);
  await writer.settled();
  expect(failures).toEqual([new Error("broken")]);
  expect([sent, writer.isFailed, writer.isBusy]).toEqual([7, true, false]);
});
