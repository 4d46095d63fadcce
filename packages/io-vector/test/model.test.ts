import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IoVector } from "../src/index.ts";

const ARENA = 1 << 16;

/**
 * A vector and what it must be: for each of its bytes the address in one common memory. Contents, aliasing and stray writes
 * all follow from comparing that memory with a second one that only the model writes to.
 */
interface Pair {
  readonly vector: IoVector;
  addresses: readonly number[];
}

class World {
  readonly memory: Uint8Array = new Uint8Array(ARENA).fill(0xa5);
  readonly expected: Uint8Array = new Uint8Array(ARENA).fill(0xa5);
  readonly pairs: Pair[] = [{ vector: new IoVector(), addresses: [] }];
  #next = 1;

  /** A fresh buffer, zero or not, with untouched bytes around it. */
  allocate(length: number, byte: number): { buffer: Uint8Array; addresses: number[] } {
    const start = this.#next;
    this.#next += length + 1 + (length % 3);
    expect(this.#next).toBeLessThan(ARENA);
    this.memory.fill(byte, start, start + length);
    this.expected.fill(byte, start, start + length);
    const addresses = Array.from({ length }, (_, index) => start + index);
    return { buffer: this.memory.subarray(start, start + length), addresses };
  }

  pick(index: number): Pair {
    return this.pairs[index % this.pairs.length]!;
  }

  /** Keeps the pool small, and the oldest vector in it for as long as possible. */
  add(vector: IoVector, addresses: readonly number[]): void {
    this.check({ vector, addresses });
    if (addresses.length > 3000) return;
    if (this.pairs.length < 6) this.pairs.push({ vector, addresses });
    else this.pairs[1 + (addresses.length % 5)] = { vector, addresses };
  }

  read(addresses: readonly number[]): Uint8Array {
    return Uint8Array.from(addresses, (address) => this.expected[address]!);
  }

  write(addresses: readonly number[], bytes: Uint8Array): void {
    addresses.forEach((address, index) => (this.expected[address] = bytes[index]!));
  }

  check({ vector, addresses }: Pair): void {
    expect(vector.length).toBe(addresses.length);
    expect(vector.isEmpty).toBe(addresses.length === 0);
    expect(vector.bufferCount).toBe(vector.buffers.length);
    expect(vector.bufferCount === 0).toBe(vector.length === 0);
    expect(vector.singleBuffer).toBe(vector.bufferCount === 1 ? vector.buffers[0] : undefined);
    let index = 0;
    let asExpected = true;
    for (const buffer of vector) {
      asExpected &&= buffer.length > 0 && buffer.buffer === this.memory.buffer;
      for (let at = 0; at < buffer.length; at++) asExpected &&= addresses[index++] === buffer.byteOffset + at;
    }
    expect(asExpected).toBe(true);
    expect(index).toBe(addresses.length);
    expect(Buffer.compare(vector.toUint8Array(), this.read(addresses))).toBe(0);
  }

  checkAll(): void {
    for (const pair of this.pairs) this.check(pair);
    expect(Buffer.compare(this.memory, this.expected)).toBe(0);
  }
}

/** Numbers that an operation reduces to what is possible when its turn comes. */
interface Choice {
  readonly vector: number;
  readonly other: number;
  readonly a: number;
  readonly b: number;
  readonly length: number;
  readonly byte: number;
}

function range(choice: Choice, length: number): [start: number, end: number] {
  const bounds = [choice.a % (length + 1), choice.b % (length + 1)] as const;
  return [Math.min(...bounds), Math.max(...bounds)];
}

/** Where the buffer with this index begins. */
function startOf(vector: IoVector, index: number): number {
  return vector.buffers.slice(0, index).reduce((sum, buffer) => sum + buffer.length, 0);
}

function inserted(addresses: readonly number[], at: number, added: readonly number[]): number[] {
  return [...addresses.slice(0, at), ...added, ...addresses.slice(at)];
}

const OPERATIONS: Readonly<Record<string, (world: World, choice: Choice) => void>> = {
  push(world, choice) {
    const pair = world.pick(choice.vector);
    const { buffer, addresses } = world.allocate(choice.length, choice.byte);
    pair.vector.push(buffer);
    pair.addresses = [...pair.addresses, ...addresses];
  },
  insert(world, choice) {
    const pair = world.pick(choice.vector);
    const { buffer, addresses } = world.allocate(choice.length, choice.byte);
    const index = choice.a % (pair.vector.bufferCount + 1);
    const at = startOf(pair.vector, index);
    pair.vector.insert(index, buffer);
    pair.addresses = inserted(pair.addresses, at, addresses);
  },
  insertAt(world, choice) {
    const pair = world.pick(choice.vector);
    const { buffer, addresses } = world.allocate(choice.length, choice.byte);
    const at = choice.a % (pair.addresses.length + 1);
    pair.vector.insertAt(at, buffer);
    pair.addresses = inserted(pair.addresses, at, addresses);
  },
  append(world, choice) {
    const pair = world.pick(choice.vector);
    const other = world.pick(choice.other);
    if (pair.addresses.length + other.addresses.length > 3000) return;
    pair.vector.append(other.vector);
    pair.addresses = [...pair.addresses, ...other.addresses];
  },
  withPushed(world, choice) {
    const pair = world.pick(choice.vector);
    const { buffer, addresses } = world.allocate(choice.length, choice.byte);
    world.add(pair.vector.withPushed(buffer), [...pair.addresses, ...addresses]);
  },
  withInserted(world, choice) {
    const pair = world.pick(choice.vector);
    const { buffer, addresses } = world.allocate(choice.length, choice.byte);
    const index = choice.a % (pair.vector.bufferCount + 1);
    const at = startOf(pair.vector, index);
    world.add(pair.vector.withInserted(index, buffer), inserted(pair.addresses, at, addresses));
  },
  copyOfList(world, choice) {
    const pair = world.pick(choice.vector);
    world.add(new IoVector(pair.vector), pair.addresses);
  },
  splitAt(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const mid = choice.a % (addresses.length + 3);
    const [head, tail] = vector.splitAt(mid);
    world.add(head, addresses.slice(0, mid));
    world.add(tail, addresses.slice(mid));
  },
  splitTailAt(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const mid = choice.a % (addresses.length + 3);
    world.add(vector.splitTailAt(mid), addresses.slice(mid));
  },
  slice(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const [start, end] = range(choice, addresses.length);
    world.add(vector.slice(start, end), addresses.slice(start, end));
  },
  chunks(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const limit = 1 + (choice.a % 4);
    const found: number[] = [];
    for (const chunk of vector.chunks(limit)) {
      expect(chunk.offset).toBe(found.length);
      expect(chunk.vector.bufferCount).toBeLessThanOrEqual(limit);
      const covered = addresses.slice(chunk.offset, chunk.offset + chunk.vector.length);
      world.check({ vector: chunk.vector, addresses: covered });
      found.push(...covered);
    }
    expect(found).toEqual(addresses);
  },
  copyFromSlice(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const bytes = Uint8Array.from(addresses, (_, index) => (index * 7 + choice.byte) & 0xff);
    vector.copyFromSlice(bytes);
    world.write(addresses, bytes);
  },
  copyIntoSlice(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const { buffer, addresses: target } = world.allocate(addresses.length, 0x5a);
    vector.copyIntoSlice(buffer);
    world.write(target, world.read(addresses));
  },
  copyBetween(world, choice) {
    const from = world.pick(choice.vector);
    const to = world.pick(choice.other);
    const length = Math.min(from.addresses.length, to.addresses.length);
    const source = from.vector.slice(0, length);
    const target = to.vector.slice(to.addresses.length - length);
    const targets = to.addresses.slice(to.addresses.length - length);
    const bytes = world.read(from.addresses.slice(0, length));
    if (from.addresses.slice(0, length).some((address) => targets.includes(address))) return;
    if (choice.a % 2 === 0) source.copyTo(target);
    else target.copyFrom(source);
    world.write(targets, bytes);
  },
  fill(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const [start, end] = range(choice, addresses.length);
    vector.fill(choice.byte, start, end);
    world.write(addresses.slice(start, end), new Uint8Array(end - start).fill(choice.byte));
  },
  isZero(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const [start, end] = range(choice, addresses.length);
    expect(vector.isZero(start, end)).toBe(world.read(addresses.slice(start, end)).every((byte) => byte === 0));
  },
  zeroRuns(world, choice) {
    const { vector, addresses } = world.pick(choice.vector);
    const granularity = 1 + (choice.a % 40);
    let offset = 0;
    let before: boolean | undefined;
    for (const run of vector.zeroRuns(granularity)) {
      expect(run.offset).toBe(offset);
      expect(run.zero).not.toBe(before);
      for (let at = offset; at < offset + run.length; at += granularity) {
        const granule = world.read(addresses.slice(at, at + granularity));
        expect(granule.every((byte) => byte === 0)).toBe(run.zero);
      }
      before = run.zero;
      offset += run.length;
    }
    expect(offset).toBe(addresses.length);
  },
};

const step = fc.record({
  name: fc.constantFrom(...Object.keys(OPERATIONS)),
  choice: fc.record({
    vector: fc.nat(5),
    other: fc.nat(5),
    a: fc.nat(),
    b: fc.nat(),
    length: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 60, max: 200 })),
    byte: fc.constantFrom(0, 0, 1, 0x80, 0xff),
  }),
});

describe("any sequence of operations", () => {
  it("leaves every vector and all memory as the flat model has it", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40, size: "max" }), (steps) => {
        const world = new World();
        for (const { name, choice } of steps) {
          OPERATIONS[name]!(world, choice);
          world.checkAll();
        }
      }),
      { numRuns: 300 },
    );
  });
});
