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
