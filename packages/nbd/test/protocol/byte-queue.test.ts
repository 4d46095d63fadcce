import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteQueue } from "../../src/protocol/byte-queue.ts";

/** Everything at once, as one array. */
const flat = (pieces: readonly Uint8Array[]): number[] => pieces.flatMap((piece) => [...piece]);

test("whatever is pushed comes out in order, whichever way it is taken", () => {
  const step = fc.oneof(
    fc.record({ push: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 8000, max: 9000 })) }),
    fc.record({ take: fc.nat(60) }),
    fc.record({ takeBytes: fc.nat(60) }),
    fc.record({ copyInto: fc.nat(9000) }),
    fc.record({ skip: fc.nat(60) }),
    fc.record({ peek: fc.integer({ min: 1, max: 64 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let model: number[] = [];
      let next = 0;
      const taken: [Uint8Array[], number[]][] = [];
      const drop = (count: number): number[] => {
        const head = model.slice(0, count);
        model = model.slice(count);
        return head;
      };
      for (const step of steps) {
        if ("push" in step) {
          const chunk = Uint8Array.from({ length: step.push }, () => next++ % 251);
          model.push(...chunk);
          queue.push(chunk);
        } else if ("take" in step) {
          const count = Math.min(step.take, queue.length);
          taken.push([queue.take(count), drop(count)]);
        } else if ("takeBytes" in step) {
          const count = Math.min(step.takeBytes, queue.length);
          taken.push([[queue.takeBytes(count)], drop(count)]);
        } else if ("copyInto" in step) {
          const target = new Uint8Array(step.copyInto);
          const count = queue.copyInto(target);
          expect([...target.subarray(0, count)]).toEqual(drop(count));
        } else if ("skip" in step) {
          const count = Math.min(step.skip, queue.length);
          queue.skip(count);
          drop(count);
        } else {
          const view = queue.peek(step.peek);
          const at = queue.peekOffset;
          const seen = view && Array.from({ length: step.peek }, (_, index) => view.getUint8(at + index));
          expect(seen).toEqual(step.peek <= model.length ? model.slice(0, step.peek) : undefined);
        }
        expect(queue.length).toBe(model.length);
      }
      // what was taken earlier isn't touched by what came later
      for (const [pieces, expected] of taken) {
        expect(flat(pieces)).toEqual(expected);
      }
    }),
  );
});

test("taking bytes that came in one chunk copies nothing", () => {
  const chunk = new Uint8Array(100);
  const queue = new ByteQueue();
  queue.push(chunk);
  queue.skip(10);
  const [piece] = queue.take(20);
  expect(piece?.buffer).toBe(chunk.buffer);
  expect(piece?.byteOffset).toBe(10);
  expect(queue.takeBytes(70).buffer).toBe(chunk.buffer);
});

test("a flood of single bytes is kept in few buffers", () => {
  const queue = new ByteQueue();
  for (let count = 0; count < 100_000; count++) {
    queue.push(Uint8Array.of(count % 256));
  }
  const pieces = queue.take(100_000);
  expect(pieces.length).toBeLessThan(10);
  expect(flat(pieces).every((byte, index) => byte === index % 256)).toBe(true);
});

test("more than there is can't be taken", () => {
  const queue = new ByteQueue();
  queue.push(new Uint8Array(3));
  expect(() => queue.take(4)).toThrow(RangeError);
  expect(() => queue.takeBytes(4)).toThrow(RangeError);
  expect(() => {
    queue.skip(4);
  }).toThrow(RangeError);
  expect(queue.length).toBe(3);
});

test("all bytes that aren't given away are told of once, by the memory that they came in", () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 20_000 }), apart: fc.boolean() }),
    fc.record({ take: fc.nat(9000) }),
    fc.record({ copyInto: fc.nat(9000) }),
    fc.record({ skip: fc.nat(9000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const open = new Map<ArrayBufferLike, number>();
      const close = (memory: ArrayBufferLike, length: number): void => {
        // what the queue has gathered lies in memory of its own
        if (open.has(memory)) {
          open.set(memory, open.get(memory)! - length);
        }
      };
      const queue = new ByteQueue(close);
      let slab = new Uint8Array(0);
      let used = 0;
      for (const step of steps) {
        if ("push" in step) {
          used += step.apart ? 1 : 0;
          if (used + step.push > slab.length) {
            slab = new Uint8Array(100_000);
            used = 0;
          }
          open.set(slab.buffer, (open.get(slab.buffer) ?? 0) + step.push);
          queue.push(slab.subarray(used, used + step.push));
          used += step.push;
        } else if ("take" in step) {
          for (const { buffer, length } of queue.take(Math.min(step.take, queue.length))) {
            close(buffer, length);
          }
        } else if ("copyInto" in step) {
          queue.copyInto(new Uint8Array(step.copyInto));
        } else {
          queue.skip(Math.min(step.skip, queue.length));
        }
      }
      queue.clear();
      expect([...open.values()].every((length) => length === 0)).toBe(true);
    }),
  );
});

test("chunks that lie behind each other in memory are taken as one", () => {
  const queue = new ByteQueue();
  const memory = Uint8Array.from({ length: 100 }, (_, index) => index);
  queue.push(memory.subarray(10, 20));
  expect(queue.peek(4)?.getUint8(queue.peekOffset)).toBe(10);
  queue.push(memory.subarray(20, 60));
  queue.push(memory.subarray(61, 70));
  queue.skip(5);
  expect(queue.peek(20)?.getUint8(queue.peekOffset + 19)).toBe(34);
  expect(queue.take(45)).toEqual([memory.subarray(15, 60)]);
  expect(flat(queue.take(9))).toEqual([...memory.subarray(61, 70)]);
});
