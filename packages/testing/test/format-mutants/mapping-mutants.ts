import { hostOffset, type FormatDriver, type Io, type Mapping, type ShallowMapping } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { blockSize, type FormatMutant } from "./format-mutant.ts";

type Change = (mapping: ShallowMapping, offset: number) => ShallowMapping;

/** A driver whose mappings are changed in both ways of asking. */
function mapping(change: Change): (sound: FormatDriver) => Partial<FormatDriver> {
  return (sound) => ({
    peekMapping: (offset, maxLength) => {
      const answer = sound.peekMapping?.(offset, maxLength);
      return answer === undefined ? undefined : change(answer, offset);
    },
    *getMapping(offset, maxLength): Io<ShallowMapping> {
      return change(yield* sound.getMapping(offset, maxLength), offset);
    },
  });
}

const reading = [
  "reads the whole disk, and zeroes behind it",
  "reads in pieces of any length, one after the other",
  "reads at random places",
  "answers many reads at once, each with its own bytes",
];

export const mappingMutants: readonly FormatMutant[] = [
  {
    name: "data is found 512 bytes further",
    driver: mapping((found) => (found.kind === "raw" ? { ...found, offset: hostOffset(found.offset + 512) } : found)),
    caughtBy: [
      ...reading,
      "reads the disk when it was opened read-only",
      "reads around the edges of its blocks",
      "fills many buffers in order, and nothing around them",
      "maps the whole disk without gaps, and reads the same by its mappings",
      "maps any range, and never more than was asked for",
      "plans reads that cover their range exactly, and read the same",
      "joins the steps of planned reads without changing what they read",
      "does what a plain array of bytes does, random program 1",
    ],
  },
  {
    name: "mappings of data reach into the next block",
    driver: mapping((found) => (found.kind === "raw" ? { ...found, length: found.length + blockSize } : found)),
    caughtBy: [
      "reads the whole disk, and zeroes behind it",
      "maps the whole disk without gaps, and reads the same by its mappings",
      "joins the steps of planned reads without changing what they read",
    ],
  },
  {
    name: "a mapping reaches behind the end",
    driver: mapping((found, offset) =>
      found.kind === "raw" && offset >= 7 * blockSize ? { ...found, length: found.length + 100 } : found,
    ),
    access: (access) => {
      access.io.getMapping = function* (offset, most): Io<Mapping> {
        const answer = yield* access.driver.getMapping(offset as never, most);
        return { ...answer, depth: 0 } as Mapping;
      };
    },
    caughtBy: [
      "maps what lies behind the end as eof",
      "maps the whole disk without gaps, and reads the same by its mappings",
      "maps any range, and never more than was asked for",
      "lists its mappings in order, up to the end of the disk",
    ],
  },
  {
    name: "the disk ends one byte early",
    driver: (sound) =>
      mapping((found, offset) => (offset >= sound.size - 1 ? { kind: "eof", length: 0 } : found))(sound),
    caughtBy: ["reads zeroes from the end of the disk on", "maps what lies behind the end as eof"],
  },
  {
    name: "the disk goes on behind its end",
    driver: mapping((found) => (found.kind === "eof" ? { kind: "zero", length: 512, explicit: false } : found)),
    caughtBy: ["maps what lies behind the end as eof"],
  },
  {
    name: "what lies behind the end reads as something",
    access: (access) => {
      const { read } = access.io;
      access.io.read = function* (into, offset): Io<void> {
        yield* read.call(access.io, into, offset);
        into.fill(0xee, Math.max(0, Math.min(into.length, access.size - offset)));
      };
      access.read = async (buffer, offset): Promise<void> => access.readv(IoVector.from(buffer), offset);
    },
    caughtBy: ["reads zeroes from the end of the disk on", "reads the whole disk, and zeroes behind it"],
  },
  {
    name: "nothing can be read into no buffers",
    access: (access) => {
      access.read = async (): Promise<void> => {
        throw new RangeError("nothing to read");
      };
      access.io.read = function* (): Io<void> {
        throw new RangeError("nothing to read");
      };
    },
    caughtBy: ["reads nothing into no buffers, wherever that is", "does read while it is open, if it can"],
  },
  {
    name: "its own layer has a gap",
    access: (access) => {
      const { getShallowMapping } = access.io;
      access.io.getShallowMapping = function* (offset, most): Io<ShallowMapping> {
        const found = yield* getShallowMapping.call(access.io, offset, most);
        return { ...found, length: 0 };
      };
    },
    caughtBy: ["covers the whole disk by what its own layer says"],
  },
  {
    name: "everything can be written through its mappings",
    driver: mapping((found) => (found.kind === "raw" ? { ...found, writable: true } : found)),
    caughtBy: ["lets nothing be written through the mappings of an image that is read-only"],
  },
  {
    name: "it says something else at once than when it is waited for",
    driver: (sound) => ({
      *getMapping(offset, maxLength): Io<ShallowMapping> {
        const found = yield* sound.getMapping(offset, maxLength);
        return found.kind === "raw" ? { ...found, offset: hostOffset(found.offset + 512) } : found;
      },
    }),
    caughtBy: ["says the same at once, where it can, as when it is waited for"],
  },
  {
    name: "plans leave their end out",
    access: (access) => {
      const { planRead } = access.io;
      access.io.planRead = function* (offset, length, merge) {
        return (yield* planRead.call(access.io, offset, length, merge)).slice(0, -1);
      };
    },
    caughtBy: [
      "plans reads that cover their range exactly, and read the same",
      "joins the steps of planned reads without changing what they read",
    ],
  },
  {
    name: "the list of mappings skips every second one",
    access: (access) => {
      const { mappings } = access;
      access.mappings = async function* (range): AsyncGenerator<never> {
        let count = 0;
        for await (const found of mappings.call(access, range)) {
          if (count++ % 2 === 0) {
            yield found as never;
          }
        }
      };
    },
    caughtBy: ["lists its mappings in order, up to the end of the disk"],
  },
];
