import { ImgError, runSync, type FormatAccess, type Io, type OpenGate, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { info, map, qemuInfo, qemuMapEntry } from "@img/operations";
import { qcow2, type Qcow2Image, type Qcow2OpenOptions } from "@img/qcow2";
import type { Random } from "./random.ts";

/** Which of the two ways to drive operations. */
export type World = "async" | "sync";

/** What a hostile image is put through. */
export interface Exercise {
  /** A fresh storage with the image, each time it is called. */
  readonly storage: () => Storage;
  readonly gate: OpenGate;
  readonly world: World;
  readonly random: Random;
}

/** What came of it. */
export interface ExerciseResult {
  /** Whether the image could be opened for reading. */
  readonly opened: boolean;
  /** Reads that gave bytes, and all refusals, opening included. */
  readonly reads: number;
  readonly refusals: readonly ImgError[];
}

/** The codes that a bad image may be refused with; the others mean that we did something wrong ourselves. */
const fittingCodes = new Set([
  "ERR_IMG_CORRUPT",
  "ERR_IMG_UNSUPPORTED",
  "ERR_IMG_LIMIT",
  "ERR_IMG_DENIED",
  "ERR_IMG_UNKNOWN_FORMAT",
  // what a name in the image leads to isn't there
  "ENOENT",
  "ENAMETOOLONG",
]);

/** Steps of one walk over all mappings. */
const mostMappings = 300;

/**
 * Does everything with an image that reading has: describes it, opens it, reads here and there, walks its mappings, opens its snapshots.
 * @throws whatever is thrown that isn't an {@link ImgError} which fits a bad image
 */
export async function exercise(work: Exercise): Promise<ExerciseResult> {
  const refusals: ImgError[] = [];
  let reads = 0;
  const attempt = async (action: () => Promise<void> | void): Promise<boolean> => {
    try {
      await action();
      return true;
    } catch (error) {
      refusals.push(checkRefusal(error));
      return false;
    }
  };
  await attempt(async () => {
    await withImage(work, { inspect: true }, describe);
  });
  const opened = await attempt(async () => {
    await withImage(work, {}, async (access) => {
      for (const read of someReads(access, work.random)) {
        reads += Number(await attempt(() => readOnce(access, read, work.world)));
      }
      await attempt(() => walkMappings(access));
      await attempt(() => walkMap(access));
      await attempt(() => askSparse(access, work.world));
      for (const { id } of access.driver.info.snapshots.slice(0, 3)) {
        await attempt(() =>
          withImage(work, { snapshot: { id } }, (each) => readOnce(each, { offset: 0, length: 5000 }, work.world)),
        );
      }
    });
  });
  return { opened, reads, refusals };
}

/**
 * The error, if it is one that a bad image may be refused with.
 * @throws Error with the offending one as its cause, otherwise
 */
export function checkRefusal(error: unknown): ImgError {
  if (!(error instanceof ImgError)) {
    throw new Error(`a bad image led to ${String(error)}`, { cause: error });
  }
  if (!fittingCodes.has(error.code) || error.message === "") {
    throw new Error(`a bad image was refused with ${error.code}: ${error.message}`, { cause: error });
  }
  return error;
}

async function withImage(
  work: Exercise,
  options: Qcow2OpenOptions,
  use: (access: FormatAccess<Qcow2Image>) => Promise<void> | void,
): Promise<void> {
  const all = { ...options, gate: work.gate };
  const storage = work.storage();
  const access = work.world === "sync" ? runSync(qcow2.openIo(storage, all)) : await qcow2.open(storage, all);
  try {
    await use(access);
  } finally {
    await access.close();
  }
}

async function describe(access: FormatAccess): Promise<void> {
  const text = JSON.stringify(qemuInfo(await info(access, { filename: "image" })));
  // nothing that JSON or a terminal would choke on
  JSON.parse(text);
}

interface Read {
  readonly offset: number;
  readonly length: number;
}

function someReads(access: FormatAccess, random: Random): Read[] {
  const { size } = access;
  const places = [0, size - 1, size, ...Array.from({ length: 8 }, () => random.below(Math.max(1, size)))];
  return places
    .filter((offset) => offset >= 0 && Number.isSafeInteger(offset + 70_000))
    .map((offset) => ({ offset, length: random.pick([1, 512, 4096, 5000, 65536]) }));
}

async function readOnce(access: FormatAccess, read: Read, world: World): Promise<void> {
  const buffer = new Uint8Array(read.length);
  if (world === "sync") {
    runSync(access.io.read(IoVector.single(buffer), read.offset));
  } else {
    await access.read(buffer, read.offset);
  }
}

async function walkMappings(access: FormatAccess): Promise<void> {
  let steps = 0;
  let at = 0;
  for await (const mapping of access.mappings()) {
    if (mapping.guestOffset !== at || mapping.length <= 0) {
      throw new Error(
        `a mapping of ${String(mapping.length)} bytes at ${String(mapping.guestOffset)}, after ${String(at)}`,
      );
    }
    at += mapping.length;
    if (++steps >= mostMappings) {
      return;
    }
  }
}

async function walkMap(access: FormatAccess): Promise<void> {
  let steps = 0;
  for await (const entry of map(access)) {
    JSON.stringify(qemuMapEntry(entry));
    if (++steps >= mostMappings) {
      return;
    }
  }
}

async function askSparse(access: FormatAccess, world: World): Promise<void> {
  const io: Io<boolean> | undefined = access.driver.hasSparseData?.();
  if (io !== undefined && world === "sync") {
    runSync(io);
  }
}
