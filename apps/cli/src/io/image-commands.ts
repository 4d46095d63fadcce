import { isImgError, type FormatAccess, type Preallocation } from "@img/format-core";
import { info, qemuInfo } from "@img/operations";
import { CommandError } from "../errors/command-error.ts";
import { specificLines } from "../output/info-text.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import type { CommandArguments } from "./command-arguments.ts";
import type { IoCommand, IoContext } from "./io-command.ts";
import { errnoText, IoError } from "./io-error.ts";
import { ioNumber } from "./io-number.ts";
import type { IoOpenRequest } from "./io-session.ts";
import { ioSize } from "./io-size.ts";
import { checkOnDisk, oneRange, timed, whileWriting } from "./transfer.ts";

/** A run of the disk, and whether the image itself says what is there. */
interface AllocationRun {
  readonly allocated: boolean;
  readonly length: number;
}

async function allocationAt(image: FormatAccess, offset: number, length: number): Promise<AllocationRun> {
  const mapping = await image.getShallowMapping(offset, length);
  const allocated = mapping.kind === "zero" ? mapping.explicit : mapping.kind === "raw" || mapping.kind === "special";
  return { allocated, length: mapping.kind === "eof" ? length : mapping.length };
}

async function allocatedBytes(image: FormatAccess, offset: number, count: number): Promise<number> {
  let found = 0;
  for (let at = offset; at < offset + count;) {
    const { allocated, length } = await allocationAt(image, at, offset + count - at);
    found += allocated ? length : 0;
    at += length;
  }
  return found;
}

/** The image whose tables say what there is. */
function shownImage({ image, session }: IoContext): FormatAccess {
  return session.image?.shown ?? image;
}

async function map(context: IoContext): Promise<void> {
  const { session } = context;
  const image = shownImage(context);
  const size = Math.ceil(image.size / 512) * 512;
  for (let at = 0; at < size;) {
    const first = await allocationAt(image, at, size - at);
    let { length } = first;
    while (at + length < size) {
      const next = await allocationAt(image, at + length, size - at - length);
      if (next.allocated !== first.allocated) {
        break;
      }
      length += next.length;
    }
    const state = first.allocated ? "    allocated" : "not allocated";
    await session.print(`${sizeAndHex(length)} bytes ${state} at offset ${sizeAndHex(at)}\n`);
    at += length;
  }
}

function sizeAndHex(bytes: number): string {
  return `${ioSize(bytes)} (0x${bytes.toString(16)})`;
}

const protocols = ["blkdebug", "null-co", "null-aio"];

async function printInfo(context: IoContext): Promise<void> {
  const { session } = context;
  const image = shownImage(context);
  const filter = session.image?.filter;
  const found = qemuInfo(await info(image, { filename: "" }));
  const clusterSize = found["cluster-size"] ?? 0;
  const lines = [
    `format name: ${filter ?? found.format}`,
    // QEMU says so of what is a protocol, too
    ...(filter !== undefined && protocols.includes(filter) ? [`format name: ${filter}`] : []),
    `cluster size: ${ioSize(clusterSize)}`,
    `vm state offset: ${ioSize(vmStateOffset(image.size, clusterSize, found["format-specific"]?.data["extended-l2"] === true))}`,
    ...(filter === undefined ? specificLines(found) : []),
  ];
  await session.print(`${lines.join("\n")}\n`);
}

/** Behind the last L2 table's range (qcow2 specification, "Snapshots": VM state). */
function vmStateOffset(size: number, clusterSize: number, extended: boolean): number {
  const coverage = (clusterSize / (extended ? 16 : 8)) * clusterSize;
  return clusterSize === 0 ? 0 : Math.ceil(size / coverage) * coverage;
}

const preallocations: Readonly<Record<string, Preallocation>> = {
  off: "none",
  metadata: "metadata",
  falloc: "falloc",
  full: "full",
};

async function truncate(context: IoContext): Promise<void> {
  const { args, image, session } = context;
  const [sizeText, more] = args.operands;
  const mode = args.value("m") ?? "off";
  const preallocation = Object.hasOwn(preallocations, mode) ? preallocations[mode] : undefined;
  if (preallocation === undefined) {
    throw session.fault(`Invalid preallocation mode '${mode}'`);
  }
  if (sizeText === undefined || more !== undefined) {
    return context.usage();
  }
  const size = ioNumber(sizeText);
  try {
    await image.resize(size, size > image.size ? preallocation : "none");
  } catch (error) {
    if (error instanceof RangeError) {
      throw session.fault("The new size must be a multiple of 512");
    }
    if (isImgError(error, "ERR_IMG_UNSUPPORTED") && image.driver.format === "raw") {
      throw session.fault("Image format driver does not support resize");
    }
    throw session.fault(isImgError(error) ? errnoText(error) : String(error));
  }
}

/** What `open` asks for. */
function openRequest(args: CommandArguments, name: string | undefined): IoOpenRequest {
  return {
    name,
    options: args.value("o"),
    readOnly: args.has("r"),
    snapshot: args.has("s"),
    cache: args.value("t") ?? (args.has("n") ? "none" : undefined),
    discard: args.value("d"),
    aio: args.value("i") ?? (args.has("k") ? "native" : undefined),
    forceShare: args.has("U"),
    copyOnRead: args.has("C"),
  };
}

async function open(context: IoContext): Promise<void> {
  const { args, session } = context;
  const [name, more] = args.operands;
  if (more !== undefined || (name === undefined && args.value("o") === undefined)) {
    return context.usage();
  }
  await inQemuWords(context, () => session.open(openRequest(args, name)));
}

async function reopen(context: IoContext): Promise<void> {
  const { args, session } = context;
  if (args.operands.length > 0) {
    return context.usage();
  }
  if (args.has("r") && args.has("w")) {
    throw session.fault("Only one -r/-w option may be given");
  }
  const before = session.image?.request;
  const cache = args.value("c");
  await inQemuWords(context, async () => {
    if (cache !== undefined) {
      parseCacheMode(cache, "cache");
    }
    refuseOptions(args.value("o"));
    if (before === undefined) {
      return;
    }
    await session.close();
    await session.open({
      ...before,
      readOnly: args.has("r") || (before.readOnly && !args.has("w")),
      cache: cache ?? before.cache,
    });
  });
}

/** Options of QEMU's block nodes that can be changed, and make no difference here. */
const tuning =
  /^(?:lazy-refcounts|cache-clean-interval|l2-cache-size|refcount-cache-size|overlap-check|pass-discard-\w+|discard|cache\.\w+)(?:\.|$)/;

function refuseOptions(options: string | undefined): void {
  for (const part of options?.split(",") ?? []) {
    const [key = ""] = part.split("=");
    if (!tuning.test(key)) {
      throw new CommandError(`Cannot change the option '${key}'`);
    }
  }
}

/** Reports what can't be opened as the session does its own errors. */
async function inQemuWords({ session }: IoContext, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw error instanceof CommandError ? session.fault(error.message) : error;
  }
}

/** Commands about the image as a whole. */
export const imageCommands: readonly IoCommand[] = [
  {
    name: "alloc",
    alias: "a",
    words: [1, 2],
    usage: "offset [count]",
    summary: "checks if offset is allocated in the file",
    run: async (context: IoContext): Promise<void> => {
      const { args, session } = context;
      const image = shownImage(context);
      const [offsetText = "", countText] = args.operands;
      const offset = ioNumber(offsetText);
      const count = countText === undefined ? 512 : ioNumber(countText);
      const within = Math.max(0, Math.min(count, image.size - offset));
      const found = await allocatedBytes(image, offset, within);
      await session.print(`${String(found)}/${String(within)} bytes allocated at offset ${ioSize(offset)}\n`);
    },
  },
  {
    name: "close",
    alias: "c",
    words: [0, 0],
    summary: "close the current open file",
    run: ({ session }: IoContext): Promise<void> => session.close(),
  },
  {
    name: "discard",
    alias: "d",
    words: [2, Infinity],
    flags: "Cq",
    usage: "[-Cq] off len",
    summary: "discards a number of bytes at a specified offset",
    writes: true,
    run: async (context: IoContext): Promise<void> => {
      const range = oneRange(context);
      const report = { verb: "discard", done: "discard" };
      checkOnDisk(context, report, range.offset, range.total);
      const { image, session } = context;
      await timed(context, report, range, async () => {
        if (session.image?.ignoresDiscards !== true) {
          await whileWriting(context, range, () => image.io.discardToAny(range.offset, range.total));
        }
      });
    },
  },
  {
    name: "flush",
    alias: "f",
    words: [0, 0],
    summary: "flush all in-core file state to disk",
    run: async ({ image }: IoContext): Promise<void> => {
      try {
        await image.flush();
        await image.sync();
      } catch (error) {
        if (!isImgError(error)) {
          throw error;
        }
        // qemu-io fails here without a word
        throw new IoError("", "silent");
      }
    },
  },
  {
    name: "info",
    alias: "i",
    words: [0, 0],
    summary: "prints information about the current file",
    run: printInfo,
  },
  {
    name: "length",
    alias: "l",
    words: [0, 0],
    summary: "gets the length of the current file",
    run: async ({ image, session }: IoContext): Promise<void> => {
      await session.print(`${ioSize(Math.ceil(image.size / 512) * 512)}\n`);
    },
  },
  { name: "map", words: [0, 0], summary: "prints the allocated areas of a file", run: map },
  {
    name: "open",
    alias: "o",
    words: [1, Infinity],
    flags: "sCrnt:i:d:o:kU",
    usage: "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
    summary: "open the file specified by path",
    help: "-r only to read; -s writes go to memory and are lost; -n past the host's cache; -U although somebody writes it; -o driver=FORMAT.",
    withoutImage: true,
    run: open,
  },
  {
    name: "reopen",
    words: [0, Infinity],
    flags: "rwc:o:",
    usage: "[(-r|-w)] [-c cache] [-o options]",
    summary: "reopens an image with new options",
    help: "-r only to read; -w to write, too; -c another cache mode.",
    run: reopen,
  },
  {
    name: "truncate",
    alias: "t",
    words: [1, 3],
    flags: "m:",
    usage: "[-m prealloc_mode] off",
    summary: "truncates the current file at the given offset",
    writes: true,
    run: truncate,
  },
];
