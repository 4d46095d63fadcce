import { IoVector } from "@img/io-vector";
import { dumpBytes } from "./dump-bytes.ts";
import type { IoCommand, IoContext } from "./io-command.ts";
import { IoError } from "./io-error.ts";
import { ioNumber, patternByte } from "./io-number.ts";
import { checkVmStateRange, readVmState } from "./vm-state-commands.ts";
import { checkOnDisk, manyRanges, oneRange, timed, type TransferRange, type TransferReport } from "./transfer.ts";

const report: TransferReport = { verb: "read", done: "read" };

/** What the bytes that are read have to be. */
interface Expected {
  readonly byte: number;
  /** Within what is read. */
  readonly start: number;
  readonly length: number;
}

async function read(context: IoContext, range: TransferRange, expected: Expected | undefined): Promise<void> {
  const { args, image, session } = context;
  const { copyOnRead } = session.image ?? {};
  const isVmState = args.has("b");
  if (isVmState) {
    checkVmStateRange(range);
  } else {
    checkOnDisk(context, report, range.offset, range.total);
  }
  const bytes = new Uint8Array(range.total);
  const matches = (): boolean => expected === undefined || isFilled(bytes, expected);
  await timed(
    context,
    report,
    range,
    async () => {
      if (isVmState) {
        await readVmState(context, bytes, range);
      } else {
        await (copyOnRead?.read(IoVector.single(bytes), range.offset) ?? image.read(bytes, range.offset));
      }
    },
    () => (matches() ? "" : mismatch(range, expected)) + (args.has("v") ? dumpBytes(bytes, range.offset) : ""),
  );
  if (!matches()) {
    throw new IoError("", "silent");
  }
}

function mismatch({ offset }: TransferRange, expected: Expected | undefined): string {
  const { start = 0, length = 0 } = expected ?? {};
  return `Pattern verification failed at offset ${String(offset + start)}, ${String(length)} bytes\n`;
}

function isFilled(bytes: Uint8Array, { byte, start, length }: Expected): boolean {
  return bytes.subarray(start, start + length).every((each) => each === byte);
}

function expectedAll({ args }: IoContext, { total }: TransferRange): Expected | undefined {
  const pattern = args.value("P");
  return pattern === undefined ? undefined : { byte: patternByte(pattern), start: 0, length: total };
}

/** `-P` with `-s` and `-l`: a part of what is read. */
function expectedPart(context: IoContext): (range: TransferRange) => Expected | undefined {
  const { args } = context;
  const length = args.value("l");
  const start = args.value("s");
  const wanted = length === undefined ? undefined : ioNumber(length);
  const byte = args.value("P");
  const value = byte === undefined ? undefined : patternByte(byte);
  const from = start === undefined ? 0 : ioNumber(start);
  if (value === undefined && (length !== undefined || start !== undefined)) {
    return context.usage();
  }
  return ({ total }) => {
    const count = wanted ?? total - from;
    if (count < 0 || count + from > total) {
      throw new IoError("pattern verification range exceeds end of read data");
    }
    return value === undefined ? undefined : { byte: value, start: from, length: count };
  };
}

/** `read`, `readv`, `aio_read`. */
export const readCommands: readonly IoCommand[] = [
  {
    name: "aio_read",
    words: [2, Infinity],
    flags: "CP:iqv",
    usage: "[-Ciqv] [-P pattern] off len [len..]",
    summary: "asynchronously reads a number of bytes",
    help:
      "Reads a range of bytes into several buffers while other commands run. It has succeeded once the request is sent, whatever becomes of it;\n" +
      "aio_flush waits for it.",
    run: async (context: IoContext): Promise<void> => {
      const range = manyRanges(context);
      const expected = expectedAll(context, range);
      if (context.args.has("i")) {
        return;
      }
      inBackground(context, () => read(context, range, expected));
    },
  },
  {
    name: "read",
    alias: "r",
    words: [2, Infinity],
    flags: "abCl:pP:qs:v",
    usage: "[-abCqv] [-P pattern [-s off] [-l len]] off len",
    summary: "reads a number of bytes at a specified offset",
    help: "-P compares with a byte, from -s on for -l bytes; -v prints the bytes; -C prints numbers for programs; -q prints nothing.",
    run: async (context: IoContext): Promise<void> => {
      const part = expectedPart(context);
      const range = oneRange(context);
      const expected = part(range);
      await read(context, range, expected);
    },
  },
  {
    name: "readv",
    words: [2, Infinity],
    flags: "CP:qv",
    usage: "[-Cqv] [-P pattern] off len [len..]",
    summary: "reads a number of bytes at a specified offset",
    help: "Reads a range of bytes into several buffers. -P compares with a byte; -v prints the bytes.",
    run: async (context: IoContext): Promise<void> => {
      const range = manyRanges(context);
      await read(context, range, expectedAll(context, range));
    },
  },
];

/** Lets a request go on; what it says about its failure is printed, and that is all. */
export function inBackground({ session }: IoContext, work: () => Promise<void>): void {
  // after what the command itself prints
  const begun = new Promise<void>((resolve) => {
    setImmediate(resolve);
  }).then(work);
  session.background(
    begun.catch(async (error: unknown) => {
      if (!(error instanceof IoError)) {
        throw error;
      }
      if (error.to !== "silent") {
        await session.print(`${error.message.replace(/^(read|write) failed/, "aio_$1 failed")}\n`);
      }
    }),
  );
}
