import { runAsync, type Io } from "@img/format-core";
import type { IoContext } from "./io-command.ts";
import { errnoText, IoError } from "./io-error.ts";
import { ioReport } from "./io-report.ts";
import { ioNumber, requestLength } from "./io-number.ts";

/** A range that a command is about. */
export interface TransferRange {
  readonly offset: number;
  /** Bytes, one for each buffer. */
  readonly lengths: readonly number[];
  /** Bytes altogether. */
  readonly total: number;
}

/** The operands `off len`. */
export function oneRange(context: IoContext, without?: string): TransferRange {
  const [offset, length, more] = context.args.operands;
  if (offset === undefined || length === undefined || more !== undefined) {
    return context.usage();
  }
  const from = ioNumber(offset);
  const total = requestLength(length, without);
  return { offset: from, lengths: [total], total };
}

/** The operands `off len [len..]`. */
export function manyRanges(context: IoContext): TransferRange {
  const [offset, ...lengths] = context.args.operands;
  if (offset === undefined || lengths.length === 0) {
    return context.usage();
  }
  const from = ioNumber(offset);
  const sizes = lengths.map((length) => requestLength(length));
  return { offset: from, lengths: sizes, total: sizes.reduce((sum, size) => sum + size, 0) };
}

/** How a request is reported. */
export interface TransferReport {
  /** For a failure: `"read"`. */
  readonly verb: string;
  /** For a success: `"read"`, `"wrote"`. */
  readonly done: string;
}

/**
 * Does a request, and reports it: its time, `-q` and `-C` included.
 * @param before - what stands between the request and its report
 * @throws IoError when it fails, with the errno's words
 */
export async function timed(
  { args, session }: IoContext,
  { verb, done }: TransferReport,
  { offset, total }: Pick<TransferRange, "offset" | "total">,
  work: () => Promise<void>,
  before: () => string = () => "",
): Promise<void> {
  const began = performance.now();
  try {
    await work();
  } catch (error) {
    throw new IoError(`${verb} failed: ${errnoText(error)}`);
  }
  const seconds = (performance.now() - began) / 1000;
  const report = { what: done, offset, count: total, seconds, machine: args.has("C") };
  // in one piece, so that nothing of another request comes in between
  await session.print(`${before()}${args.has("q") ? "" : ioReport(report)}`);
}

/**
 * Refuses what isn't on the disk, as QEMU's block layer does.
 * @throws IoError
 */
export function checkOnDisk({ image }: IoContext, { verb }: TransferReport, offset: number, total: number): void {
  if (offset + total > Math.ceil(image.size / 512) * 512) {
    throw new IoError(`${verb} failed: Input/output error`);
  }
}

/** Changes a range of the disk, while what is read of it isn't copied from below. */
export function whileWriting(
  { session }: IoContext,
  { offset, total }: Pick<TransferRange, "offset" | "total">,
  work: () => Io<void>,
): Promise<void> {
  const { copyOnRead } = session.image ?? {};
  return runAsync(copyOnRead === undefined ? work() : copyOnRead.whileWriting(offset, total, work));
}
