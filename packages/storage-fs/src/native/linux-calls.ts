import type { IoVector } from "@img/io-vector";
import type { HostCall } from "../host-call.ts";
import type { Koffi } from "./load-koffi.ts";
import { failure, type DirectAlignment, type NativeCalls } from "./native-calls.ts";

type Argument = number | string | ArrayBufferView;

/** A function of the C library. */
interface LibraryFunction {
  (...values: Argument[]): number | bigint;
  async(...values: [...Argument[], (error: unknown, result: number | bigint) => void]): void;
}

// linux/falloc.h, linux/fs.h, fcntl.h, linux/stat.h
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const RWF_NOWAIT = 0x08;
const SYNC_FILE_RANGE_WRITE = 2;
const BLKDISCARD = 0x1277;
const BLKGETSIZE64 = 0x8008_1272;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const AT_EMPTY_PATH = 0x1000;
const STATX_DIOALIGN = 0x2000;

/** Buffers that one {@link NativeCalls.readResident} takes; for more of them, the rest is left to the caller. */
const mostVectors = 64;

/**
 * The system calls of a 64-bit Linux, called in the C library that the process runs on. A function that the library lacks answers ENOSYS.
 */
export function linuxCalls(koffi: Koffi): NativeCalls {
  const library = koffi.load(null);
  const declare = (declaration: string): LibraryFunction => {
    try {
      return library.func(declaration) as LibraryFunction;
    } catch {
      return missingFunction(koffi);
    }
  };
  const errno = (): number => -koffi.errno();
  const preadv2 = declare("int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)");
  const pread = declare("int64_t pread(int fd, void *bytes, size_t length, int64_t offset)");
  const pwrite = declare("int64_t pwrite(int fd, const void *bytes, size_t length, int64_t offset)");
  const lseek = declare("int64_t lseek(int fd, int64_t offset, int whence)");
  const fallocate = declare("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
  // Both are variadic; on the 64-bit architectures of Linux that makes no difference for a pointer in third place.
  const ioctl = declare("int ioctl(int fd, unsigned long request, void *argument)");
  const fcntl = declare("int fcntl(int fd, int command, void *argument)");
  const copyFileRange = declare(
    "int64_t copy_file_range(int from, int64_t *from_offset, int to, int64_t *to_offset, size_t length, unsigned int flags)",
  );
  const syncFileRange = declare("int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)");
  const statx = declare("int statx(int fd, const char *path, int flags, unsigned int mask, void *buffer)");

  const answer = (result: number | bigint): number => {
    const value = Number(result);
    return value < 0 ? errno() : value;
  };
  const call = (target: LibraryFunction, ...values: Argument[]): HostCall<number> => ({
    sync: () => answer(target(...values)),
    async: () =>
      new Promise((resolve) => {
        target.async(...values, (_error, result) => {
          // the helper carries the pool thread's errno over to this callback
          resolve(answer(result));
        });
      }),
  });

  const vectors = new BigUint64Array(2 * mostVectors);
  const readResident = (fd: number, into: IoVector, offset: number): number => {
    const { buffers } = into;
    const count = Math.min(buffers.length, mostVectors);
    for (let index = 0; index < count; index++) {
      const buffer = buffers[index];
      if (buffer === undefined) {
        break;
      }
      vectors[2 * index] = koffi.address(buffer);
      vectors[2 * index + 1] = BigInt(buffer.byteLength);
    }
    return answer(preadv2(fd, vectors, count, offset, RWF_NOWAIT));
  };

  return {
    readResident,
    read: (fd, bytes, offset) => answer(pread(fd, bytes, bytes.byteLength, offset)),
    write: (fd, bytes, offset) => answer(pwrite(fd, bytes, bytes.byteLength, offset)),
    seekData: (fd, offset) => call(lseek, fd, offset, SEEK_DATA),
    seekHole: (fd, offset) => call(lseek, fd, offset, SEEK_HOLE),
    punchHole: (fd, offset, length) => call(fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length),
    zeroRange: (fd, offset, length) => call(fallocate, fd, FALLOC_FL_ZERO_RANGE, offset, length),
    allocate: (fd, offset, length) => call(fallocate, fd, 0, offset, length),
    copyRange: (from, fromOffset, fd, offset, length) =>
      call(copyFileRange, from, BigInt64Array.of(BigInt(fromOffset)), fd, BigInt64Array.of(BigInt(offset)), length, 0),
    beginWriting: (fd, offset, length) => answer(syncFileRange(fd, offset, length, SYNC_FILE_RANGE_WRITE)),
    discardDevice: (fd, offset, length) =>
      call(ioctl, fd, BLKDISCARD, BigUint64Array.of(BigInt(offset), BigInt(length))),
    deviceSize(fd) {
      const size = new BigUint64Array(1);
      const result = answer(ioctl(fd, BLKGETSIZE64, size));
      return result < 0 ? result : Number(size[0] ?? 0n);
    },
    directAlignment(fd) {
      const buffer = new Uint32Array(64);
      const result = answer(statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, buffer));
      return result < 0 ? undefined : directAlignment(buffer);
    },
    lockByte: (fd, byte) => answer(fcntl(fd, F_OFD_SETLK, flock(F_RDLCK, byte))),
    unlockByte: (fd, byte) => answer(fcntl(fd, F_OFD_SETLK, flock(F_UNLCK, byte))),
    isByteLocked(fd, byte) {
      const lock = flock(F_WRLCK, byte);
      const result = answer(fcntl(fd, F_OFD_GETLK, lock));
      return result < 0 ? result : Number(new Int16Array(lock.buffer)[0] !== F_UNLCK);
    },
  };
}

/** `struct flock` of 64-bit Linux: type and whence as i16, start and length as i64 at 8 and 16, pid (0, as OFD locks want it) as i32 at 24. */
function flock(type: number, byte: number): BigInt64Array<ArrayBuffer> {
  const lock = new BigInt64Array(4);
  new Int16Array(lock.buffer)[0] = type;
  lock[1] = BigInt(byte);
  lock[2] = 1n;
  return lock;
}

/** From `struct statx`: mask at 0, memory and offset alignment for direct I/O at 152 and 156, as u32. */
function directAlignment(statx: Uint32Array): DirectAlignment | undefined {
  const memory = statx[38] ?? 0;
  const request = statx[39] ?? 0;
  const told = ((statx[0] ?? 0) & STATX_DIOALIGN) !== 0 && memory > 0 && request > 0;
  return told ? { memory, request } : undefined;
}

function missingFunction(koffi: Koffi): LibraryFunction {
  const fail = (): number => {
    koffi.errno(-failure.ENOSYS);
    return -1;
  };
  return Object.assign(fail, {
    async: (...values: [...Argument[], (error: unknown, result: number) => void]): void => {
      const done = values[values.length - 1];
      setImmediate(() => {
        if (typeof done === "function") {
          done(null, fail());
        }
      });
    },
  });
}
