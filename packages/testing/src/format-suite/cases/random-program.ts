import { all, type Io } from "@img/format-core";
import { SeededRandom } from "../../random/seeded-random.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatManifest } from "../format-manifest.ts";
import type { FormatSubject } from "../format-subject.ts";

const steps = 25;

/** Random operations, several in flight at once, compared with the model after every few. */
export function randomProgramCases(manifest: FormatManifest): FormatCase[] {
  const { programs = 4, seed = 1 } = manifest;
  return Array.from({ length: programs }, (_, index) => ({
    name: `does what a plain array of bytes does, random program ${String(seed + index)}`,
    *run(subject: FormatSubject): Io<void> {
      const random = new SeededRandom(seed + index);
      for (let step = 0; step < steps; step++) {
        yield* randomStep(subject, random);
        if (random.chance(0.3)) {
          yield* subject.check();
        }
      }
      yield* subject.check();
      yield* subject.reopen();
      yield* subject.check();
    },
  }));
}

function* randomStep(subject: FormatSubject, random: SeededRandom): Io<void> {
  const { manifest, model } = subject;
  if (random.chance(0.08)) {
    yield* subject.reopen();
    return;
  }
  if (ifWritable(manifest) && random.chance(0.1)) {
    const size = random.integer(1, Math.ceil((12 * subject.blockSize) / subject.sizeUnit)) * subject.sizeUnit;
    if (size > model.size ? manifest.grows === true : manifest.shrinks === true) {
      yield* subject.resize(size, "zero");
    }
    return;
  }
  // one slot each, so that they don't meet
  const slots = random.integer(1, 6);
  const length = Math.floor(model.size / slots);
  const operations: Io<void>[] = [];
  for (let slot = 0; slot < slots && length > 0; slot++) {
    if (random.chance(0.7)) {
      operations.push(randomOperation(subject, random, slot * length, length));
    }
  }
  yield* all(operations);
}

/** An operation that stays inside `[start, start + length)`. */
function randomOperation(subject: FormatSubject, random: SeededRandom, start: number, length: number): Io<void> {
  const [offset, count] = randomRange(subject, random, start, length);
  switch (random.integer(0, ifWritable(subject.manifest) ? 9 : 2)) {
    case 0:
    case 1:
    case 2:
      return subject.check(offset, count);
    case 3:
      return subject.writeZeroes(offset, count);
    case 4:
      return subject.discardToZero(offset, count);
    case 5:
      return subject.discardToAny(offset, count);
    case 6:
      return subject.flush();
    default:
      return subject.write(
        random.chance(0.15) ? new Uint8Array(count) : random.bytes(count),
        offset,
        random.integer(1, 4),
      );
  }
}

/** Some range, half of the time one that begins or ends with a block. */
function randomRange(
  { blockSize }: FormatSubject,
  random: SeededRandom,
  start: number,
  length: number,
): readonly [offset: number, length: number] {
  const end = start + length;
  const snap = (offset: number): number =>
    random.chance(0.5) ? Math.min(Math.max(offset - (offset % blockSize), start), end) : offset;
  const one = snap(random.integer(start, end));
  const other = snap(random.integer(start, end));
  return [Math.min(one, other), Math.abs(one - other)];
}
