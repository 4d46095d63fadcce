import { alignUp, all, type Io } from "@img/format-core";
import { SeededRandom } from "../../random/seeded-random.ts";
import { copyAll } from "../copy-into.ts";
import type { StorageCase } from "../storage-case.ts";
import { ifCopies, ifGrows, ifWritable } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const steps = 40;
/** Places that the operations of one step are put in, one each, so that they don't meet. */
const slots = 8;

/** Random calls, several in flight at once, compared with the model after every few. */
export function randomProgramCases(manifest: StorageManifest): StorageCase[] {
  const { programs = 8, seed = 1 } = manifest;
  return Array.from({ length: programs }, (_, index) => ({
    name: `does what a plain array of bytes does, random program ${String(seed + index)}`,
    another: ifCopies(manifest),
    *run(subject: StorageSubject): Io<void> {
      const random = new SeededRandom(seed + index);
      for (let step = 0; step < steps; step++) {
        yield* randomStep(subject, random);
        if (random.chance(0.3)) {
          yield* subject.check();
        }
      }
      yield* subject.check();
    },
    *reopened(subject: StorageSubject): Io<void> {
      yield* subject.check();
    },
  }));
}

function* randomStep(subject: StorageSubject, random: SeededRandom): Io<void> {
  if (ifWritable(subject.manifest) && subject.manifest.resizes === true && random.chance(0.15)) {
    const unit = subject.storage.limits.request;
    yield* subject.resize(alignUp(random.integer(0, 60 * subject.grains.largest), unit), "zero");
    return;
  }
  const slotLength = 6 * subject.grains.largest;
  const used = Array.from({ length: slots }, (_, index) => index).filter(() => random.chance(0.4));
  yield* all(used.map((slot) => randomOperation(subject, random, slot * slotLength, slotLength)));
}

/** An operation that stays inside `[start, start + length)`. */
function randomOperation(subject: StorageSubject, random: SeededRandom, start: number, length: number): Io<unknown> {
  const { limits } = subject.storage;
  const unit = Math.max(limits.request, limits.memory);
  const writable = ifWritable(subject.manifest) && (ifGrows(subject.manifest) || start + length <= subject.model.size);
  const kind = random.integer(0, writable ? 9 : 2);
  if (kind <= 2) {
    const [offset, count] = randomRange(random, start, length, unit);
    return subject.check(offset, count);
  }
  if (kind === 3) {
    return random.chance(0.5) ? subject.flush() : subject.sync();
  }
  if (kind === 4 && subject.storage.writeZeroes !== undefined) {
    const [offset, count] = randomRange(random, start, length, limits.zero);
    // inside only: several that end past the end leave several sizes to choose from
    const inside = Math.min(count, subject.model.size - (subject.model.size % limits.zero) - offset);
    return subject.zero(offset, Math.max(0, inside), { allocate: random.chance(0.5) });
  }
  if (kind === 5 && subject.storage.discard !== undefined) {
    return subject.discard(...randomRange(random, start, length, limits.discard));
  }
  const [offset, count] = randomRange(random, start, length, unit);
  if (kind === 6 && subject.source !== undefined) {
    const [from] = randomRange(random, 0, subject.source.model.size - count, limits.request);
    return copyAll(subject, subject.source, { from, offset, length: count });
  }
  const bytes = random.chance(0.2) ? new Uint8Array(count) : random.bytes(count);
  return subject.write(bytes, offset, random.integer(1, 4));
}

/** A range of whole units. */
function randomRange(
  random: SeededRandom,
  start: number,
  length: number,
  unit: number,
): [offset: number, length: number] {
  const first = Math.ceil(start / unit);
  const end = Math.floor((start + length) / unit);
  const from = random.integer(first, end - 1);
  return [from * unit, random.integer(1, end - from) * unit];
}
