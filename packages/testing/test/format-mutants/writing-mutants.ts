import {
  alignDown,
  alignUp,
  guestOffset,
  hostOffset,
  MemoryStorage,
  StorageDecorator,
  writeStorage,
  type FormatAccess,
  type HandledRange,
  type Io,
  type PreparedWrite,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { blockSize, type FormatMutant } from "./format-mutant.ts";

const nothing = (): void => undefined;

/** Rounds a range outwards, and handles it so. */
function outward(
  handle: ((offset: ReturnType<typeof guestOffset>, length: number) => Io<HandledRange>) | undefined,
): (offset: number, length: number) => Io<HandledRange> {
  return function* (offset, length) {
    const start = alignDown(offset, blockSize);
    const end = alignUp(offset + length, blockSize);
    return (yield* handle?.(guestOffset(start), end - start) ?? unhandled()) satisfies HandledRange;
  };
}

function* unhandled(): Io<HandledRange> {
  return { offset: guestOffset(0), length: 0 };
}

/** Replaces `io.write`. */
function writing(
  body: (access: FormatAccess, write: FormatAccess["io"]["write"]) => FormatAccess["io"]["write"],
): (access: FormatAccess) => void {
  return (access) => {
    access.io.write = body(access, access.io.write.bind(access.io));
  };
}

const written = [
  "keeps what is written, and everything around it",
  "writes around the edges of its blocks",
  "writes the whole disk at once, from many buffers",
  "overwrites what was written, with data and with zeroes",
  "takes writes where it was zeroed, with zeroes around them",
  "does writes to different blocks at once",
  "has the bytes of one or the other of two writes to the same place",
];

export const writingMutants: readonly FormatMutant[] = [
  {
    name: "writes become visible nowhere",
    driver: (sound) => ({
      *prepareWrite(): Io<PreparedWrite> {
        return { storage: new MemoryStorage(), offset: hostOffset(0), length: 512, commit: nothing, abort: nothing };
      },
      size: sound.size,
    }),
    caughtBy: [
      ...written,
      "has what was written when it is closed and opened again",
      "finishes what is in flight before it closes",
      "shows what is written directly in a storage",
    ],
  },
  {
    name: "the last byte of a write isn't written",
    access: writing((_, write) => (from, offset) => write(from.slice(0, Math.max(0, from.length - 1)), offset)),
    caughtBy: ["keeps what is written, and everything around it", "writes around the edges of its blocks"],
  },
  {
    name: "writes change the caller's buffer",
    access: writing(
      (_, write) =>
        function* (from, offset): Io<void> {
          yield* write(from, offset);
          from.fill(0);
        },
    ),
    caughtBy: ["keeps what is written, and everything around it"],
  },
  {
    name: "a write of nothing is refused",
    access: writing(
      (_, write) =>
        function* (from, offset): Io<void> {
          if (from.length === 0) {
            throw new RangeError("nothing to write");
          }
          yield* write(from, offset);
        },
    ),
    caughtBy: ["writes nothing from no buffers"],
  },
  {
    name: "a write behind the end writes what fits",
    access: writing(
      (access, write) => (from, offset) =>
        write(from.slice(0, Math.max(0, Math.min(from.length, access.size - offset))), Math.min(offset, access.size)),
    ),
    caughtBy: ["refuses what would end behind the disk with ERR_IMG_OUT_OF_RANGE, and writes nothing of it"],
  },
  {
    name: "new blocks aren't filled with zeroes",
    flaw: "doesn't fill new blocks",
    caughtBy: [
      "takes writes where it was discarded, without bringing back what was there",
      "shows no stale bytes where a range is mapped to be overwritten and isn't",
    ],
  },
  {
    name: "blocks aren't locked while they are allocated",
    flaw: "doesn't lock blocks",
    caughtBy: ["does writes to one block at once, and loses none of them"],
    variants: /delayed/,
  },
  {
    name: "its map is never written",
    flaw: "never writes its map",
    caughtBy: [
      "has what was written when it is closed and opened again",
      "has in its storages what was written once it was flushed",
      "finishes what is in flight before it closes",
      "is still zero when it is closed and opened again",
      "loses nothing that was synced when the power is cut while writing into blocks that are zero",
    ],
  },
  {
    name: "its header is never written",
    flaw: "writes its map, but not its header",
    caughtBy: [
      "grows with preallocation none",
      "grows with preallocation zero",
      "shrinks, and has nothing behind its new end",
    ],
  },
  {
    name: "mapping a range to be written directly loses what it held",
    driver: (sound) => ({
      *prepareWrite(offset, length, options): Io<PreparedWrite> {
        const prepared = yield* sound.prepareWrite!(offset, length, options);
        if (!options.overwrite) {
          yield* writeStorage(prepared.storage, IoVector.single(new Uint8Array(1).fill(0xee)), prepared.offset);
        }
        return prepared;
      },
    }),
    caughtBy: ["makes ranges writable in a storage without changing what they hold"],
  },
  {
    name: "mapping a range to be written directly names another place",
    access: (access) => {
      const { ensureDataMapping } = access.io;
      access.io.ensureDataMapping = function* (offset, length, overwrite) {
        const found = yield* ensureDataMapping.call(access.io, offset, length, overwrite);
        return { ...found, offset: hostOffset(found.offset + 1) };
      };
    },
    caughtBy: ["shows what is written directly in a storage"],
  },
  {
    name: "zeroing goes on to the ends of the blocks",
    driver: (sound) => ({ ensureZeroMapping: outward(sound.ensureZeroMapping?.bind(sound)) }),
    caughtBy: ["zeroes exactly the range that it is told to"],
  },
  {
    name: "zeroing leaves whole blocks as they are",
    driver: () => ({
      *ensureZeroMapping(offset, length): Io<HandledRange> {
        return { offset, length };
      },
    }),
    caughtBy: [
      "zeroes exactly the range that it is told to",
      "zeroes the whole disk, twice",
      "is still zero when it is closed and opened again",
      "takes writes where it was zeroed, with zeroes around them",
    ],
  },
  {
    name: "zeroing nothing zeroes the first block",
    access: (access) => {
      const { writeZeroes } = access.io;
      access.io.writeZeroes = (offset, length): Io<void> =>
        writeZeroes.call(access.io, length === 0 ? 0 : offset, length === 0 ? 10 : length);
    },
    caughtBy: ["zeroes nothing when the range is empty"],
  },
  {
    name: "discarding to zero goes on to the ends of the blocks",
    driver: (sound) => ({ discardToZero: outward(sound.discardToZero?.bind(sound)) }),
    caughtBy: ["reads zeroes where it was discarded to zero, and nowhere else"],
  },
  {
    name: "discarding to anything goes on to the ends of the blocks",
    driver: (sound) => ({ discardToAny: outward(sound.discardToAny?.bind(sound)) }),
    caughtBy: ["keeps everything around what is discarded to anything"],
  },
  {
    name: "discarding to anything discards the next block",
    driver: (sound) => ({
      *discardToAny(offset, length): Io<HandledRange> {
        yield* sound.discardToZero!(guestOffset(Math.min(offset + length, sound.size)), blockSize);
        return { offset, length };
      },
    }),
    caughtBy: [
      "keeps everything around what is discarded to anything",
      "writes, zeroes, discards and flushes at once in different blocks",
    ],
  },
  {
    name: "discarding to the backing image shows something else",
    manifest: { discardsToBacking: true },
    driver: (sound) => ({
      *discardToBacking(offset, length): Io<HandledRange> {
        const prepared = yield* sound.prepareWrite!(offset, Math.min(length, 512), { overwrite: false });
        yield* writeStorage(prepared.storage, IoVector.single(new Uint8Array(1).fill(0xee)), prepared.offset);
        prepared.commit();
        return { offset, length };
      },
    }),
    caughtBy: ["shows the backing image, or what was there, where it was discarded to that"],
  },
  {
    name: "discarding to a backing image silently does nothing",
    driver: () => ({
      *discardToBacking(offset, length): Io<HandledRange> {
        return { offset, length };
      },
    }),
    caughtBy: [
      "refuses to discard to a backing image with ERR_IMG_UNSUPPORTED",
      "does discardToBacking while it is open, if it can",
    ],
  },
  {
    name: "freed blocks are taken again at once",
    flaw: "takes freed blocks at once",
    caughtBy: [
      "loses nothing that was synced when the power is cut while zeroing and discarding, and writing there again",
    ],
  },
  {
    name: "links are written before the data that they lead to",
    flaw: "links before data",
    caughtBy: [
      "loses nothing that was synced when the power is cut while zeroing and discarding, and writing there again",
    ],
  },
  {
    name: "syncing does nothing",
    storage: (storage) => new NeverSyncs(storage),
    caughtBy: [/^loses nothing that was synced when the power is cut while/],
  },
  {
    name: "what is cut off comes back",
    flaw: "keeps what is cut off",
    caughtBy: ["doesn't bring back what was cut off"],
    // elsewhere a disk can only be cut off between blocks
    variants: /^(async|sync)$|512/,
  },
  {
    name: "it never gets smaller",
    driver: () => ({
      *resizeShrink(): Io<void> {
        return;
      },
    }),
    caughtBy: [
      "shrinks, and has nothing behind its new end",
      "has the old or the new bytes when a storage fails while shrinking",
      "has the old or the new bytes when a storage fails while shrinking, tearing a write",
    ],
  },
  {
    name: "it never gets larger",
    driver: () => ({
      *resizeGrow(): Io<void> {
        return;
      },
    }),
    caughtBy: [
      /^grows with preallocation/,
      "doesn't bring back what was cut off",
      "has the old or the new bytes when a storage fails while growing",
      "has the old or the new bytes when a storage fails while growing, tearing a write",
    ],
  },
  {
    name: "it shrinks when it is told to grow, and grows when it is told to shrink",
    access: (access) => {
      const { io } = access;
      const grow = io.resizeGrow.bind(io);
      const shrink = io.resizeShrink.bind(io);
      io.resizeGrow = function* (size, preallocation): Io<void> {
        yield* grow(size, preallocation);
        yield* shrink(size);
      };
    },
    caughtBy: ["stays as it is when it is resized to its own size"],
  },
  {
    name: "it claims to grow, and doesn't know how",
    driver: () => ({ resizeGrow: undefined as never, resizeShrink: undefined as never }),
    caughtBy: [
      /^grows with preallocation (none|zero)/,
      "does resizeGrow while it is open, if it can",
      "does resizeShrink while it is open, if it can",
    ],
  },
  {
    name: "it grows and shrinks although it isn't said to",
    manifest: { grows: false, shrinks: false },
    caughtBy: [
      "refuses to grow with ERR_IMG_UNSUPPORTED, and stays as it is",
      "refuses to shrink with ERR_IMG_UNSUPPORTED, and stays as it is",
    ],
  },
  {
    name: "a read waits for no write, and shows half of it",
    access: (access) => {
      let wrote = false;
      const { io } = access;
      const write = io.write.bind(io);
      io.write = (from, offset): Io<void> => {
        wrote = true;
        return write(from, offset);
      };
      const read = io.read.bind(io);
      io.read = function* (into, offset): Io<void> {
        yield* read(into, offset);
        if (wrote) {
          into.fill(0, 0, Math.min(1, into.length));
        }
      };
      access.read = async (buffer, offset): Promise<void> => access.readv(IoVector.from(buffer), offset);
    },
    caughtBy: ["reads what isn't being written while something else is"],
  },
];

class NeverSyncs extends StorageDecorator {
  override sync(): void {
    return;
  }

  override syncSync(): void {
    return;
  }
}
