import { readFile } from "node:fs/promises";
import type { Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { strerror } from "../errors/strerror.ts";
import type { IoCommand, IoContext } from "./io-command.ts";
import { IoError } from "./io-error.ts";
import { patternByte } from "./io-number.ts";
import { inBackground } from "./read-commands.ts";
import { checkVmStateRange, writeVmState } from "./vm-state-commands.ts";
import {
  checkOnDisk,
  manyRanges,
  oneRange,
  timed,
  whileWriting,
  type TransferRange,
  type TransferReport,
} from "./transfer.ts";

const report: TransferReport = { verb: "write", done: "wrote" };

/** What is written when nothing else is asked for. */
const defaultByte = 0xcd;

async function write(context: IoContext, range: TransferRange, bytes: Uint8Array): Promise<void> {
  checkOnDisk(context, report, range.offset, range.total);
  await timed(context, report, range, () =>
    withAccess(context, range, () => context.image.io.write(IoVector.single(bytes), range.offset)),
  );
}

async function writeZeroes(context: IoContext, range: TransferRange): Promise<void> {
  const { args, image } = context;
  checkOnDisk(context, report, range.offset, range.total);
  const method = args.has("u") ? "discardToZero" : "writeZeroes";
  await timed(context, report, range, () =>
    withAccess(context, range, () => image.io[method](range.offset, range.total)),
  );
}

async function writeCompressed(context: IoContext, range: TransferRange, bytes: Uint8Array): Promise<void> {
  const { image } = context;
  const block = image.driver.compressedBlockSize;
  if (block === undefined) {
    throw new IoError("write failed: Operation not supported");
  }
  checkOnDisk(context, report, range.offset, range.total);
  const end = range.offset + range.total;
  if (range.offset % block !== 0 || (end % block !== 0 && end !== image.size)) {
    throw new IoError("write failed: Invalid argument");
  }
  await timed(context, report, range, () =>
    withAccess(context, range, () => image.io.writeCompressed(IoVector.single(bytes), range.offset)),
  );
}

/** With `-f`, and unless the cache mode says otherwise, it is durable when the command is done. */
async function withAccess(context: IoContext, range: TransferRange, work: () => Io<void>): Promise<void> {
  const { args, image, session } = context;
  await whileWriting(context, range, work);
  if (args.has("f") || session.image?.writesThrough === true) {
    await image.flush();
    await image.sync();
  }
}

/** The bytes of a request: of a byte, or of a file over and over. */
async function contents({ args, session }: IoContext, { total }: TransferRange): Promise<Uint8Array> {
  const bytes = new Uint8Array(total);
  const source = args.value("s");
  if (source === undefined) {
    const pattern = args.value("P");
    return bytes.fill(pattern === undefined ? defaultByte : patternByte(pattern));
  }
  let file: Uint8Array;
  try {
    file = await readFile(source);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "EIO";
    throw new IoError(`${source}: ${strerror(code) ?? code}`, "errors");
  }
  if (file.length === 0) {
    throw session.fault(`${source}: file is empty`);
  }
  for (let at = 0; at < total; at += file.length) {
    bytes.set(file.subarray(0, Math.min(file.length, total - at)), at);
  }
  return bytes;
}

/** Flags that exclude each other, in the order in which they are looked at. */
function checkFlags({ args }: IoContext): void {
  const { zero, compressed } = { zero: args.has("z"), compressed: args.has("c") };
  const refusals: readonly (readonly [boolean, string])[] = [
    [args.has("b") && zero, "-b and -z cannot be specified at the same time"],
    [args.has("b") && compressed, "-b and -c cannot be specified at the same time"],
    [args.has("f") && (args.has("b") || compressed), "-f and -b or -c cannot be specified at the same time"],
    [args.has("n") && !zero, "-n requires -z to be specified"],
    [args.has("u") && !zero, "-u requires -z to be specified"],
    [
      [zero, args.has("P"), args.has("s")].filter(Boolean).length > 1,
      "Only one of -z, -P, and -s can be specified at the same time",
    ],
  ];
  for (const [refused, message] of refusals) {
    if (refused) {
      throw new IoError(message);
    }
  }
}

/** `write`, `writev`, `aio_write`. */
export const writeCommands: readonly IoCommand[] = [
  {
    name: "aio_write",
    words: [2, Infinity],
    flags: "CfiP:quz",
    usage: "[-Cfiquz] [-P pattern] off len [len..]",
    summary: "asynchronously writes a number of bytes",
    help:
      "Writes a range of bytes from several buffers while other commands run. It has succeeded once the request is sent, whatever becomes of it;\n" +
      "aio_flush waits for it. -z writes zeroes, with -u by giving the space back.",
    writes: true,
    run: async (context: IoContext): Promise<void> => {
      const { args } = context;
      const zero = args.has("z");
      if (zero && args.operands.length !== 2) {
        throw new IoError("-z supports only a single length parameter");
      }
      if (args.has("u") && !zero) {
        throw new IoError("-u requires -z to be specified");
      }
      if (zero && args.has("P")) {
        throw new IoError("-z and -P cannot be specified at the same time");
      }
      const range = manyRanges(context);
      const bytes = zero ? undefined : await contents(context, range);
      if (!args.has("i")) {
        inBackground(context, () => (bytes === undefined ? writeZeroes(context, range) : write(context, range, bytes)));
      }
    },
  },
  {
    name: "write",
    alias: "w",
    words: [2, Infinity],
    flags: "bcCfnpP:qs:uz",
    usage: "[-bcCfnquz] [-P pattern | -s source_file] off len",
    summary: "writes a number of bytes at a specified offset",
    help:
      "Writes bytes of 0xcd, or of -P, or a file over and over (-s). -z writes zeroes, with -u by giving the space back; -c writes compressed;\n" +
      "-f waits until it is durable.",
    writes: true,
    run: async (context: IoContext): Promise<void> => {
      checkFlags(context);
      const { args } = context;
      const range = oneRange(context, args.has("n") ? "" : " without -n");
      if (args.has("b")) {
        checkVmStateRange(range);
        const state = await contents(context, range);
        await timed(context, report, range, () => writeVmState(context, state, range));
        return;
      }
      if (args.has("z")) {
        await writeZeroes(context, range);
        return;
      }
      const bytes = await contents(context, range);
      await (args.has("c") ? writeCompressed(context, range, bytes) : write(context, range, bytes));
    },
  },
  {
    name: "writev",
    words: [2, Infinity],
    flags: "CfqP:",
    usage: "[-Cfq] [-P pattern] off len [len..]",
    summary: "writes a number of bytes at a specified offset",
    help: "Writes a range of bytes from several buffers, of 0xcd or of -P.",
    writes: true,
    run: async (context: IoContext): Promise<void> => {
      const range = manyRanges(context);
      await write(context, range, await contents(context, range));
    },
  },
];
