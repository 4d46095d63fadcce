import {
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  open,
  openSync,
  stat,
  statSync,
  type BigIntStats,
} from "node:fs";
import { ImgError, wrapHostError, type Io } from "@img/format-core";
import { fileKind, type FileKind } from "./file-kind.ts";
import { callHost, nodeCall, nodeCommand, type HostCall } from "./host-call.ts";
import { waitForLease } from "./wait-for-lease.ts";

/** How to open a file. */
export interface OpenDescriptorOptions {
  readonly path: string;
  readonly label: string;
  readonly writable: boolean;
  readonly direct: boolean;
  readonly noFollow: boolean;
  readonly blockDevices: boolean;
  readonly exclusive: boolean;
  /** `true`: makes a file, and fails when something is there; `false`: fails when nothing is there. */
  readonly create: boolean;
  readonly mode: number;
  /** Whether the synchronous world may sleep while somebody has a lease on the file. */
  readonly sleeps: boolean;
}

/** An open file that is known to have offsets. */
export interface OpenedDescriptor {
  readonly fd: number;
  readonly kind: FileKind;
  readonly stats: BigIntStats;
}

/**
 * Opens a file, and nothing else: looks before opening, because the mere opening of some devices has effects, opens without waiting for
 * anybody at the other end of a pipe, and looks again at what was really opened. A lease on a file is waited for.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for what can't be read at offsets, and for direct I/O where the file system has none; `ERR_IMG_LOCKED` when somebody
 * doesn't give a lease back; `ERR_IMG_ASYNC_ONLY` when that would have to be waited for asleep, and may not; the host's errno code for everything else
 */
export function* openDescriptor(options: OpenDescriptorOptions): Io<OpenedDescriptor> {
  const { label, sleeps } = options;
  let before: FileKind | undefined;
  if (!options.create) {
    before = fileKind(yield* ask(label, "open", statPath(options.path)), label, options.blockDevices);
  }
  const fd = yield* before === "file" ? waitForLease(label, () => openPath(options), { sleeps }) : openPath(options);
  try {
    const stats = yield* ask(label, "open", statDescriptor(fd));
    return { fd, kind: fileKind(stats, label, options.blockDevices), stats };
  } catch (error) {
    yield* closeDescriptor(fd, label);
    throw error;
  }
}

/** Closes a descriptor because something else failed; that is what the caller hears of. */
export function* closeDescriptor(fd: number, label: string): Io<void> {
  try {
    yield* callHost(
      label,
      nodeCommand(
        () => {
          closeSync(fd);
        },
        (done) => {
          close(fd, (error) => {
            done(error ?? null);
          });
        },
      ),
      false,
    );
  } catch {
    // the descriptor is gone all the same
  }
}

/** What an open file is. */
export function statDescriptor(fd: number): HostCall<BigIntStats> {
  return nodeCall(
    () => fstatSync(fd, { bigint: true }),
    (done) => fstat(fd, { bigint: true }, done),
  );
}

function statPath(path: string): HostCall<BigIntStats> {
  return nodeCall(
    () => statSync(path, { bigint: true }),
    (done) => stat(path, { bigint: true }, done),
  );
}

function* openPath(options: OpenDescriptorOptions): Io<number> {
  const { path, label, mode } = options;
  const flags = openFlags(options);
  try {
    return yield* ask(
      label,
      options.create ? "create" : "open",
      nodeCall(
        () => openSync(path, flags, mode),
        (done) => open(path, flags, mode, done),
      ),
    );
  } catch (error) {
    if (options.direct && error instanceof ImgError && error.code === "EINVAL") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${label}: the file system has no direct I/O`, {
        cause: error.cause,
        subject: label,
      });
    }
    throw error;
  }
}

function openFlags(options: OpenDescriptorOptions): number {
  // Windows knows none of the optional ones, and its `constants` lack them
  const flag: Readonly<Record<string, number | undefined>> = constants;
  let flags =
    (options.writable ? constants.O_RDWR : constants.O_RDONLY) | (flag["O_NONBLOCK"] ?? 0) | (flag["O_NOCTTY"] ?? 0);
  if (options.direct) {
    const direct = flag["O_DIRECT"];
    if (direct === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${options.label}: direct I/O is for Linux only`, {
        subject: options.label,
      });
    }
    flags |= direct;
  }
  if (options.noFollow) {
    flags |= flag["O_NOFOLLOW"] ?? 0;
  }
  if (options.create) {
    flags |= constants.O_CREAT | constants.O_EXCL;
  } else if (options.exclusive) {
    flags |= constants.O_EXCL;
  }
  return flags;
}

function* ask<T>(label: string, verb: string, call: HostCall<T>): Io<T> {
  try {
    return yield* callHost(label, call, false);
  } catch (error) {
    throw wrapHostError(error, `cannot ${verb} ${label}`, label);
  }
}
