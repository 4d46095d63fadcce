import { IoVector } from "@img/io-vector";
import type { MemoryStorage } from "@img/format-core";
import type { SeededRandom } from "../random/seeded-random.ts";
import type { RecordedOperation } from "./recorded-operation.ts";

/** The unit that disks write as a whole. */
const sector = 512;

/** Does all of an operation. */
export function applyOperation(target: MemoryStorage, operation: RecordedOperation): void {
  switch (operation.kind) {
    case "write":
      target.write(IoVector.single(operation.bytes), operation.offset);
      return;
    case "writeZeroes":
      target.writeZeroes(operation.offset, operation.length, { allocate: operation.allocate });
      return;
    case "discard":
      target.discard(operation.offset, operation.length);
      return;
    case "resize":
      target.resize?.(operation.size, operation.preallocation);
      return;
    case "flush":
    case "sync":
      return;
  }
}

/**
 * Does as much of an operation as happened to reach the medium: nothing, everything, or some of its sectors. What is discarded keeps its bytes, becomes
 * zero or turns into rubbish.
 */
export function applyTorn(target: MemoryStorage, operation: RecordedOperation, random: SeededRandom): void {
  const fate = random.integer(0, 3);
  if (fate === 0) {
    return;
  }
  if (operation.kind === "discard") {
    applyDiscard(target, operation.offset, operation.length, random);
  } else if (fate === 1 || (operation.kind !== "write" && operation.kind !== "writeZeroes")) {
    applyOperation(target, operation);
  } else {
    const bytes = operation.kind === "write" ? operation.bytes : new Uint8Array(operation.length);
    applySectors(target, bytes, operation.offset, random);
  }
}

function applySectors(target: MemoryStorage, bytes: Uint8Array, offset: number, random: SeededRandom): void {
  const end = offset + bytes.length;
  const share = random.pick([0.2, 0.5, 0.8]);
  for (let at = offset; at < end;) {
    // sectors lie at multiples of their size, wherever the write begins
    const stop = Math.min(at - (at % sector) + sector, end);
    if (random.chance(share)) {
      target.write(IoVector.single(bytes.subarray(at - offset, stop - offset)), at);
    }
    at = stop;
  }
}

function applyDiscard(target: MemoryStorage, offset: number, length: number, random: SeededRandom): void {
  const inside = Math.min(offset + length, target.size) - offset;
  if (inside <= 0) {
    return;
  }
  switch (random.integer(0, 2)) {
    case 0:
      target.writeZeroes(offset, inside);
      return;
    case 1:
      target.write(IoVector.single(random.bytes(inside)), offset);
      return;
    default:
  }
}
