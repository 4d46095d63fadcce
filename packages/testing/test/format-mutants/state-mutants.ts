import {
  closeStorage,
  FormatAccess,
  ImgError,
  StorageDecorator,
  writeStorage,
  type FormatDriver,
  type Io,
  type MaybePromise,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { blockSize, type FormatMutant } from "./format-mutant.ts";

/** Swallows failures of some calls. */
class Swallows extends StorageDecorator {
  override read(into: IoVector, offset: number): MaybePromise<void> {
    try {
      return super.read(into, offset);
    } catch {
      into.fill(0);
      return undefined;
    }
  }

  override readSync(into: IoVector, offset: number): void {
    try {
      super.readSync?.(into, offset);
    } catch {
      into.fill(0);
    }
  }
}

/** Opens as soon as it was closed. */
function revive(io: FormatAccess["io"]): void {
  for (const method of ["shared", "exclusive"] as const) {
    io[method] = function* <T>(body: () => Io<T>): Io<T> {
      return yield* body();
    };
  }
}

/** Says that it can be written, to those who ask before writing. */
const alwaysWritable = (sound: FormatDriver): Partial<FormatDriver> => ({ writable: true, size: sound.size });

export const stateMutants: readonly FormatMutant[] = [
  {
    name: "its extension has no dot",
    format: () => ({ extensions: ["blk"] }),
    caughtBy: ["has a name, and extensions that begin with a dot"],
  },
  {
    name: "it doesn't recognise its own images",
    format: () => ({ probe: () => 0 }),
    caughtBy: ["recognises its own images"],
  },
  {
    name: "probing changes the header",
    format: ({ probe }) => ({
      probe: (header) => {
        const score = probe(header);
        header.fill(0);
        return score;
      },
    }),
    caughtBy: ["scores the same bytes the same, and doesn't change them"],
  },
  {
    name: "probing depends on what was probed before",
    format: () => {
      let count = 0;
      return { probe: () => count++ % 100 };
    },
    caughtBy: ["scores the same bytes the same, and doesn't change them"],
  },
  {
    name: "probing needs a whole header",
    format: ({ probe }) => ({
      probe: (header) => {
        new DataView(header.buffer, header.byteOffset, header.length).getUint32(100);
        return probe(header);
      },
    }),
    caughtBy: ["scores any bytes, however few, from 0 to 100"],
  },
  {
    name: "it has a size that isn't the disk's",
    driver: (sound) => ({ size: sound.size + 512 }),
    caughtBy: [
      "has the size of the disk and is as writable as it was opened",
      "has its size and its name after it was closed",
    ],
  },
  {
    name: "it is writable whatever it was opened for",
    driver: () => ({ writable: true }),
    caughtBy: ["has the size of the disk and is as writable as it was opened"],
  },
  {
    name: "it calls itself something else",
    driver: () => ({ format: "bricks" }),
    caughtBy: ["names its format and its storages, and has a name for people"],
  },
  {
    name: "it hides its storages",
    driver: () => ({ storages: [] }),
    caughtBy: ["names its format and its storages, and has a name for people"],
  },
  {
    name: "it describes another disk",
    driver: (sound) => ({ describe: () => ({ format: "blocks", virtualSize: sound.size + 1 }) }),
    caughtBy: ["describes itself as what it is"],
  },
  {
    name: "it marks an image that it opens",
    opening: (storage, writable) =>
      writable ? writeStorage(storage, IoVector.single(new Uint8Array(1)), 500) : nothing(),
    caughtBy: ["is opened, read, flushed and closed without a single write, for writing too"],
  },
  {
    name: "it is opened for writing where it can't be written",
    format: (sound) => ({
      openIo: (storage, options) =>
        sound.openIo(storage, storage.writable ? { ...options } : { ...options, writable: false }),
    }),
    caughtBy: ["isn't opened for writing in a storage that can't be written, and leaves that open"],
  },
  {
    name: "it closes a storage that it couldn't open",
    format: (sound) => ({
      *openIo(storage, options): Io<FormatAccess> {
        try {
          return yield* sound.openIo(storage, options);
        } catch (error) {
          yield* closeStorage(storage);
          throw error;
        }
      },
    }),
    caughtBy: [
      "isn't opened in rubbish or in nothing, and leaves the storage open",
      "isn't opened for writing in a storage that can't be written, and leaves that open",
    ],
  },
  {
    name: "it opens rubbish",
    format: (sound) => ({
      *openIo(storage, options): Io<FormatAccess> {
        try {
          return yield* sound.openIo(storage, options);
        } catch {
          return yield* sound.createIo(storage, { size: 4096 });
        }
      },
    }),
    caughtBy: ["isn't opened in rubbish or in nothing, and leaves the storage open"],
  },
  {
    name: "it fails with a TypeError when something is missing",
    format: (sound) => ({
      *openIo(storage, options): Io<FormatAccess> {
        try {
          return yield* sound.openIo(storage, options);
        } catch (error) {
          throw new TypeError("cannot read properties of undefined", { cause: error });
        }
      },
    }),
    caughtBy: [
      "reads or refuses an image that is cut off anywhere, with nothing but an ImgError",
      "reads or refuses an image with changed bytes, with nothing but an ImgError",
      "says so when a storage fails while it is opened, and can be opened afterwards",
    ],
  },
  {
    name: "it is created with something in it",
    format: (sound) => ({
      *createIo(storage, options): Io<FormatAccess> {
        const access = yield* sound.createIo(storage, options);
        if (access.size > 0) {
          yield* access.io.write(IoVector.single(new Uint8Array(1).fill(1)), access.size - 1);
        }
        return access;
      },
    }),
    caughtBy: [
      /^creates a disk that reads as zero, with preallocation (none|zero)/,
      /in a storage that held something else/,
    ],
  },
  {
    name: "it claims to know every way to create",
    manifest: { preallocations: ["none", "zero", "metadata", "falloc", "full"] },
    caughtBy: [
      /^creates a disk that reads as zero, with preallocation (metadata|falloc|full)/,
      /^grows with preallocation (metadata|falloc|full)/,
    ],
  },
  {
    name: "it is created with a size that nobody named",
    format: (sound) => ({
      createIo: (storage, options) => sound.createIo(storage, { size: 4096, ...options }),
    }),
    caughtBy: ["creates a disk of no size when none is named"],
  },
  {
    name: "it is created where it can't be written",
    format: (sound) => ({
      *createIo(storage, options): Io<FormatAccess> {
        if (!storage.writable) {
          throw new ImgError("EBADF", "bad file descriptor");
        }
        return yield* sound.createIo(storage, options);
      },
    }),
    caughtBy: ["isn't created in a storage that can't be written"],
  },
  {
    name: "it goes on when it is closed",
    access: (access) => {
      revive(access.io);
      Object.defineProperty(access, "driver", { value: access.driver });
      access.io.close = function* (): Io<void> {
        yield* access.driver.flush();
      };
    },
    caughtBy: [/^refuses .* with ERR_IMG_CLOSED when it is closed/, /^closes its storages, once,/],
  },
  {
    name: "it writes although it is read-only",
    driver: alwaysWritable,
    caughtBy: [/^refuses .* with ERR_IMG_READ_ONLY when it is read-only/],
  },
  {
    name: "it does nothing that it is asked for",
    access: (access) => {
      const refuse = function* (): Io<never> {
        throw new ImgError("ERR_IMG_BUSY", "not now");
      };
      for (const { io } of [access]) {
        Object.assign(io, {
          read: refuse,
          getMapping: refuse,
          getShallowMapping: refuse,
          planRead: refuse,
          flush: refuse,
          sync: refuse,
          invalidateCache: refuse,
          write: refuse,
          ensureDataMapping: refuse,
          writeZeroes: refuse,
          discardToZero: refuse,
          discardToAny: refuse,
          discardToBacking: refuse,
          resizeGrow: refuse,
          resizeShrink: refuse,
        });
      }
    },
    caughtBy: [/^does .* while it is open, if it can/],
  },
  {
    name: "it can be closed only once",
    access: (access) => {
      let closed = false;
      const { close } = access.io;
      access.io.close = function* (): Io<void> {
        if (closed) {
          throw new ImgError("ERR_IMG_CLOSED", "closed already");
        }
        closed = true;
        yield* close.call(access.io);
      };
    },
    caughtBy: ["closes its storages, once, however often and at once it is closed"],
  },
  {
    name: "it leaves its storages open",
    driver: () => ({
      *close(): Io<void> {
        return;
      },
    }),
    caughtBy: [
      "closes its storages, once, however often and at once it is closed",
      "closes its storages although its last writes fail, and says so",
    ],
  },
  {
    name: "its size is gone when it is closed",
    access: (access) => {
      Object.defineProperty(access, "size", {
        get: () => {
          if (access.io.isClosed) {
            throw new ImgError("ERR_IMG_CLOSED", "closed");
          }
          return access.driver.size;
        },
      });
    },
    caughtBy: ["has its size and its name after it was closed"],
  },
  {
    name: "errors of flushing are swallowed",
    flaw: "swallows errors of flushing",
    caughtBy: [
      "closes its storages although its last writes fail, and says so",
      "has the old or the new bytes when a storage fails while writing into blocks that are zero",
      "has the old or the new bytes when a storage fails while writing several blocks",
      "has the old or the new bytes when a storage fails while discarding to zero",
      "has the old or the new bytes when a storage fails while growing",
      "has the old or the new bytes when a storage fails while shrinking",
    ],
  },
  {
    name: "it closes while somebody holds a lease",
    access: (access) => {
      access.lease = async () => ({
        release: (): void => undefined,
        [Symbol.dispose]: (): void => undefined,
      });
    },
    caughtBy: ["waits with closing until a lease is given back"],
  },
  {
    name: "dropping its caches loses its map",
    driver: (sound) => ({
      *invalidateCache(): Io<void> {
        yield* sound.discardToZero!(0 as never, blockSize);
      },
    }),
    caughtBy: ["reads the same after its caches were dropped"],
  },
  {
    name: "failing reads give zeroes",
    storage: (storage) => new Swallows(storage),
    caughtBy: ["says so when a storage fails while it is read, and reads on afterwards"],
    variants: /^sync$/,
  },
  {
    name: "changes are forgotten when writing them fails",
    flaw: "forgets changes when writing fails",
    caughtBy: [
      "has the old or the new bytes when a storage fails while writing into blocks that are zero",
      "has the old or the new bytes when a storage fails while zeroing",
      "has the old or the new bytes when a storage fails while discarding to zero",
      "has the old or the new bytes when a storage fails while growing",
      "has the old or the new bytes when a storage fails while shrinking",
      /^has the old or the new bytes when a storage fails while (growing|shrinking), tearing a write/,
    ],
  },
  {
    name: "a write that fails destroys what lies around",
    access: (access) => {
      const { write } = access.io;
      access.io.write = function* (from, offset): Io<void> {
        try {
          yield* write.call(access.io, from, offset);
        } catch (error) {
          const { driver } = access;
          yield* driver.ensureZeroMapping!(0 as never, driver.size);
          throw error;
        }
      };
    },
    caughtBy: [
      /^has the old or the new bytes when a storage fails while overwriting data/,
      /^has the old or the new bytes when a storage fails while writing/,
      "says so when the medium is full, keeps what it has, and goes on when there is space again",
    ],
  },
  {
    name: "zeroing and discarding that fail destroy what lies around",
    access: (access) => {
      for (const method of ["writeZeroes", "discardToZero"] as const) {
        const sound = access.io[method].bind(access.io);
        access.io[method] = function* (offset, length): Io<void> {
          try {
            yield* sound(offset, length);
          } catch (error) {
            const { driver } = access;
            yield* driver.ensureZeroMapping!(0 as never, driver.size);
            throw error;
          }
        };
      }
    },
    caughtBy: [/^has the old or the new bytes when a storage fails while (zeroing|discarding to zero)/],
  },
];

function* nothing(): Io<void> {
  return;
}
