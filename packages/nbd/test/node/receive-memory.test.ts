import fc from "fast-check";
import { expect, test } from "vitest";
import { ReceiveMemory, ReceivePool } from "../../src/node/receive-memory.ts";

test("what isn't given back is never received over, by any connection of a pool", () => {
  const step = fc.record({
    connection: fc.nat(2),
    length: fc.integer({ min: 1, max: 300_000 }),
    giveBack: fc.array(fc.nat(20), { maxLength: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const pool = new ReceivePool();
      const connections = Array.from({ length: 3 }, () => ({ memory: new ReceiveMemory(pool), held: [] as Held[] }));
      let mark = 0;
      for (const { connection, length, giveBack } of steps) {
        const { memory, held } = connections[connection]!;
        const room = memory.room();
        const count = Math.min(length, room.length);
        mark = (mark % 255) + 1;
        room.fill(mark, 0, count);
        const bytes = memory.received(count);
        expect([bytes.buffer, bytes.byteOffset, bytes.length]).toEqual([room.buffer, room.byteOffset, count]);
        held.push({ bytes, mark });
        for (const index of giveBack) {
          const [one] = held.splice(index % Math.max(1, held.length), 1);
          if (one !== undefined) {
            memory.giveBack(one.bytes.buffer, one.bytes.length);
          }
        }
        for (const one of connections.flatMap((each) => each.held)) {
          expect(one.bytes.every((byte) => byte === one.mark)).toBe(true);
        }
      }
    }),
    { numRuns: 20 },
  );
});

interface Held {
  readonly bytes: Uint8Array;
  readonly mark: number;
}

test("a connection whose bytes are given back goes on in the same memory", () => {
  const memory = new ReceiveMemory(new ReceivePool());
  const seen = new Set<ArrayBufferLike>();
  for (let round = 0; round < 1000; round++) {
    const room = memory.room();
    seen.add(room.buffer);
    const bytes = memory.received(Math.min(room.length, 64 * 1024));
    // the next room is asked for before anybody has looked at the bytes
    seen.add(memory.room().buffer);
    memory.giveBack(bytes.buffer, bytes.length);
  }
  expect(seen.size).toBeLessThanOrEqual(4);
});

test("what is given back of other memory is ignored", () => {
  const memory = new ReceiveMemory(new ReceivePool());
  const { buffer } = memory.room();
  memory.received(60_000);
  memory.giveBack(new ArrayBuffer(8), 60_000);
  expect(memory.room().buffer).not.toBe(buffer);
});
