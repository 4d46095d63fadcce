import type { Field } from "./qcow2-fields.ts";
import type { Random } from "./random.ts";

/** A mutated image, and what was done to it. */
export interface Mutant {
  readonly bytes: Uint8Array;
  /** One line for each change. */
  readonly changes: readonly string[];
}

/**
 * Changes some fields of an image: mostly one to four, sometimes a fifth to a half of all, to boundary values, to values that are likely to be
 * in range, to the places of other structures, or by flipping bits.
 */
export function mutateFields(image: Uint8Array, fields: readonly Field[], random: Random): Mutant {
  const bytes = image.slice();
  const families = [...new Set(fields.map((field) => field.family))];
  const count = random.chance(0.85) ? random.between(1, 4) : Math.ceil((fields.length * random.between(20, 50)) / 100);
  const changes: string[] = [];
  for (let i = 0; i < count; i++) {
    // families first: otherwise nearly all mutations would hit entries of tables
    const family = random.pick(families);
    const field = random.pick(fields.filter((each) => each.family === family));
    mutateField(bytes, field, fields, random);
    if (changes.length < 8) {
      const now = Buffer.from(bytes.subarray(field.offset, field.offset + Math.min(field.length, 16))).toString("hex");
      changes.push(`${field.name} at 0x${field.offset.toString(16)} = ${now}`);
    }
  }
  return { bytes, changes };
}

function mutateField(bytes: Uint8Array, field: Field, fields: readonly Field[], random: Random): void {
  const target = bytes.subarray(field.offset, field.offset + field.length);
  if (field.length > 8 || ![1, 2, 4, 8].includes(field.length)) {
    mutateText(target, random);
    return;
  }
  switch (random.below(4)) {
    case 0:
      store(target, boundary(field.length * 8, random));
      return;
    case 1:
      store(target, inRange(field.length, bytes.length, random));
      return;
    case 2:
      // the place of some other structure, with the flags that an entry may have
      store(target, BigInt(random.pick(fields).offset & ~0x1ff) | random.pick([0n, 0n, 1n << 63n, 1n << 62n, 1n]));
      return;
    default:
      flipBits(target, random);
  }
}

/** The interesting values of an unsigned integer of that many bits. */
function boundaryValues(bits: number): readonly bigint[] {
  const max = (1n << BigInt(bits)) - 1n;
  const powers = Array.from({ length: bits }, (_, bit) => 1n << BigInt(bit));
  const around = [max / 4n, max / 2n, max - max / 4n].flatMap((value) => [value - 1n, value, value + 1n]);
  return [0n, 1n, max, max - 1n, ...around, ...powers, ...powers.map((power) => power - 1n)];
}

function boundary(bits: number, random: Random): bigint {
  return random.pick(boundaryValues(bits));
}

function inRange(length: number, fileSize: number, random: Random): bigint {
  if (length < 8) {
    return BigInt(random.below(random.pick([4, 32, 256])));
  }
  const unit = random.pick([1, 512, 4096, 65536]);
  return BigInt(random.below(Math.ceil((2 * fileSize) / unit)) * unit);
}

function store(target: Uint8Array, value: bigint): void {
  let rest = value;
  for (let at = target.length - 1; at >= 0; at--) {
    target[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}

function flipBits(target: Uint8Array, random: Random): void {
  for (let count = random.between(1, 4); count > 0; count--) {
    const at = random.below(target.length);
    target[at] = (target[at] ?? 0) ^ (1 << random.below(8));
  }
}

const nastyTexts = [
  "%s%p%n%d",
  "\u0000",
  "\u001b[2J\u0007",
  "/etc/passwd",
  "../../../../etc/passwd",
  "json:{}",
  'json:{"driver":"null-co"}',
  "nbd://127.0.0.1:1/",
  "file:/etc/passwd",
  "\u00ff\u00fe",
  "a".repeat(1100),
];

/** Names and payloads: hostile texts, cut to fit, random bytes or flipped bits. */
function mutateText(target: Uint8Array, random: Random): void {
  switch (random.below(3)) {
    case 0:
      target.set(new TextEncoder().encode(random.pick(nastyTexts)).subarray(0, target.length));
      return;
    case 1: {
      const at = random.below(target.length);
      target.set(random.bytes(random.between(1, target.length - at)), at);
      return;
    }
    default:
      flipBits(target, random);
  }
}

/** Flips bits, overwrites runs with noise or 0 or 0xff, moves blocks around, cuts the end off: anywhere, without knowing what is where. */
export function mutateBytes(image: Uint8Array, random: Random): Mutant {
  let bytes = image.slice();
  const changes: string[] = [];
  for (let count = random.between(1, 6); count > 0; count--) {
    const at = random.below(random.chance(0.5) ? Math.min(bytes.length, 8192) : bytes.length);
    const length = Math.min(bytes.length - at, random.pick([1, 1, 2, 4, 8, 64, 512, 4096]));
    switch (random.below(5)) {
      case 0:
        bytes.set(random.bytes(length), at);
        changes.push(`noise at ${String(at)} + ${String(length)}`);
        break;
      case 1:
        bytes.fill(random.pick([0, 0xff]), at, at + length);
        changes.push(`filled at ${String(at)} + ${String(length)}`);
        break;
      case 2: {
        const from = random.below(bytes.length - length + 1);
        bytes.copyWithin(at, from, from + length);
        changes.push(`copied ${String(from)} to ${String(at)} + ${String(length)}`);
        break;
      }
      case 3:
        if (random.chance(0.3) && bytes.length > 1) {
          bytes = bytes.slice(0, random.below(bytes.length));
          changes.push(`cut to ${String(bytes.length)}`);
          if (bytes.length === 0) {
            return { bytes, changes };
          }
        }
        break;
      default:
        flipBits(bytes.subarray(at, at + length), random);
        changes.push(`flipped bits at ${String(at)} + ${String(length)}`);
    }
  }
  return { bytes, changes };
}
