import type { BigIntStats } from "node:fs";
import { fileURLToPath } from "node:url";
import { ImgError, wrapHostError, type Io } from "@img/format-core";
import { descriptorFlags, type DescriptorFlags } from "./descriptor-flags.ts";
import { deviceNumbers, deviceSize } from "./device-size.ts";
import { fileKind } from "./file-kind.ts";
import { fileLimits } from "./file-limits.ts";
import type { FileAccessOptions, FileDescriptorOptions, FileOpenOptions } from "./file-options.ts";
import { absolutePath, fileLabel } from "./file-path.ts";
import { fileSystemTraits } from "./file-system-traits.ts";
import { callHost } from "./host-call.ts";
import { lockImage } from "./image-locks.ts";
import { loadNative } from "./native/load-native.ts";
import type { NativeCalls } from "./native/native-calls.ts";
import { closeDescriptor, openDescriptor, statDescriptor, type OpenedDescriptor } from "./open-descriptor.ts";
import { OpenFile } from "./open-file.ts";

/** What a `FileStorage` is made of. */
export interface OpenResult {
  readonly file: OpenFile;
  /** Absolute; `undefined` if it has no name. */
  readonly path: string | undefined;
  readonly identity: string;
  /** Whether closing the storage closes the descriptor. */
  readonly closes: boolean;
}

/** What {@link prepareFile} needs to know. */
interface PrepareOptions extends FileAccessOptions {
  readonly label: string;
  readonly path: string | undefined;
  readonly writable: boolean;
  readonly direct: boolean;
  readonly forceShare: boolean;
  readonly closes: boolean;
}

/** Opens a file that exists. Nothing in it is changed. */
export function* openExisting(path: string | URL, options: FileOpenOptions): Io<OpenResult> {
  const name = typeof path === "string" ? path : fileURLToPath(path);
  const label = fileLabel(name);
  const absolute = absolutePath(name);
  const { writable = false, direct = false, forceShare = false } = options;
  const opened = yield* openDescriptor({
    path: absolute,
    label,
    writable,
    direct,
    noFollow: options.noFollow ?? false,
    blockDevices: options.blockDevices ?? true,
    exclusive: options.exclusive ?? false,
    create: false,
    mode: 0,
    sleeps: options.sleeps ?? true,
  });
  return yield* prepareOrClose(opened, {
    ...options,
    label,
    path: absolute,
    writable,
    direct,
    forceShare,
    closes: true,
  });
}

/** Takes over a descriptor. */
export function* openFromDescriptor(fd: number, options: FileDescriptorOptions): Io<OpenResult> {
  const { path, writable = false, forceShare = false, close = true } = options;
  const label = path === undefined ? `file descriptor ${String(fd)}` : fileLabel(path);
  const stats = yield* askDescriptor(fd, label);
  const kind = fileKind(stats, label, true);
  const flags = descriptorFlags(fd);
  if (flags !== undefined) {
    checkFlags(flags, label, writable);
  }
  return prepareFile(
    { fd, kind, stats },
    {
      ...options,
      label,
      path: path === undefined ? undefined : absolutePath(path),
      writable,
      direct: flags?.direct ?? options.direct ?? false,
      forceShare,
      closes: close,
    },
  );
}

function* askDescriptor(fd: number, label: string): Io<BigIntStats> {
  try {
    return yield* callHost(label, statDescriptor(fd), true);
  } catch (error) {
    throw wrapHostError(error, `cannot use ${label}`, label);
  }
}

/** What the descriptor can't do is better said now than by a read or write later on. */
function checkFlags(flags: DescriptorFlags, label: string, writable: boolean): void {
  if (!flags.readable) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label} was opened for writing only`, { subject: label });
  }
  if (writable && !flags.writable) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${label} was opened for reading only`, { subject: label });
  }
  if (writable && flags.append) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label} was opened for appending, which ignores offsets`, {
      subject: label,
    });
  }
}

/** Makes a file of a descriptor, which is closed when that fails. */
export function* prepareOrClose(opened: OpenedDescriptor, options: PrepareOptions): Io<OpenResult> {
  try {
    return prepareFile(opened, options);
  } catch (error) {
    yield* closeDescriptor(opened.fd, options.label);
    throw error;
  }
}

function prepareFile(opened: OpenedDescriptor, options: PrepareOptions): OpenResult {
  const { fd, kind, stats } = opened;
  const { label, writable, direct, path, closes } = options;
  const native = options.native === "off" ? undefined : loadNative();
  lock(native, fd, options);
  const file = new OpenFile({
    fd,
    label,
    kind,
    writable,
    direct,
    blocking: options.blocking ?? "cached",
    writeBehind: options.writeBehind ?? Infinity,
    fileSystem: kind === "file" ? fileSystemTraits(fd) : undefined,
    native,
    limits: fileLimits({ fd, label, kind, direct, stats }, native),
    size: kind === "file" ? fileSize(stats.size, label) : deviceSize(fd, { rdev: stats.rdev, label }, native),
  });
  return { file, path, identity: identity(opened), closes };
}

function lock(native: NativeCalls | undefined, fd: number, options: PrepareOptions): void {
  const policy = options.lock ?? "auto";
  if (policy === "off" || (policy === "auto" && native === undefined)) {
    return;
  }
  const { label, path, writable, forceShare } = options;
  if (native === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label}: locking takes the native helper`, { subject: label });
  }
  lockImage(native, { fd, label, path, writable, forceShare, required: policy === "on" });
}

function fileSize(size: bigint, label: string): number {
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ImgError("ERR_IMG_LIMIT", `${label} is longer than 2^53-1 bytes`, { subject: label });
  }
  return Number(size);
}

/** Two nodes of one device are the same device; two links to one file are the same file. */
function identity({ kind, stats }: OpenedDescriptor): string {
  if (kind === "file") {
    return `file ${String(stats.dev)}:${String(stats.ino)}`;
  }
  const { major, minor } = deviceNumbers(stats.rdev);
  return `block device ${String(major)}:${String(minor)}`;
}
