import { lstat, lstatSync, unlink, unlinkSync, type BigIntStats } from "node:fs";
import { fileURLToPath } from "node:url";
import { ImgError, checkOffset, isImgError, type Io } from "@img/format-core";
import type { FileCreateOptions } from "./file-options.ts";
import { absolutePath, fileLabel } from "./file-path.ts";
import { callHost, nodeCall, nodeCommand } from "./host-call.ts";
import { openExisting, prepareOrClose, type OpenResult } from "./open-existing.ts";
import { closeDescriptor, openDescriptor, type OpenedDescriptor } from "./open-descriptor.ts";
import { resizeFile } from "./resize-file.ts";

/** Makes a file, or takes one over that may be overwritten. A file that was made here is removed again when something fails later on. */
export function* createFile(path: string | URL, options: FileCreateOptions): Io<OpenResult> {
  const name = typeof path === "string" ? path : fileURLToPath(path);
  checkOffset(options.size ?? 0, "size");
  const absolute = absolutePath(name);
  const label = fileLabel(name);
  let made: OpenedDescriptor;
  try {
    made = yield* openDescriptor({
      path: absolute,
      label,
      writable: true,
      direct: false,
      noFollow: false,
      blockDevices: true,
      exclusive: false,
      create: true,
      mode: options.mode ?? 0o666,
      sleeps: options.sleeps ?? true,
    });
  } catch (error) {
    if (options.overwrite === true && isImgError(error, "EEXIST")) {
      return yield* overwrite(path, options);
    }
    throw error;
  }
  try {
    return yield* fill(yield* reopen(made, path, absolute, options), options);
  } catch (error) {
    yield* remove(absolute, label, made.stats);
    throw error;
  }
}

/** Whether there is direct I/O shows only when opening a file that exists already. */
function* reopen(
  made: OpenedDescriptor,
  path: string | URL,
  absolute: string,
  options: FileCreateOptions,
): Io<OpenResult> {
  const label = fileLabel(typeof path === "string" ? path : fileURLToPath(path));
  if (options.direct === true) {
    yield* closeDescriptor(made.fd, label);
    return yield* openExisting(path, { ...options, writable: true });
  }
  return yield* prepareOrClose(made, {
    ...options,
    label,
    path: absolute,
    writable: true,
    direct: false,
    forceShare: false,
    closes: true,
  });
}

/** The lock is taken before anything is cut off. */
function* overwrite(path: string | URL, options: FileCreateOptions): Io<OpenResult> {
  const opened = yield* openExisting(path, { ...options, writable: true });
  const { file } = opened;
  const size = options.size ?? 0;
  if (file.kind === "block device") {
    if (size <= file.size) {
      return opened;
    }
    yield* closeDescriptor(file.fd, file.label);
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `${file.label}: the block device has ${String(file.size)} bytes: expected at least ${String(size)}`,
      { subject: file.label },
    );
  }
  try {
    yield* resizeFile(file, 0, "none");
  } catch (error) {
    yield* closeDescriptor(file.fd, file.label);
    throw error;
  }
  return yield* fill(opened, options);
}

/** Gives the empty file its length. */
function* fill(opened: OpenResult, options: FileCreateOptions): Io<OpenResult> {
  const { file } = opened;
  try {
    yield* resizeFile(file, options.size ?? 0, options.preallocation ?? "zero");
    return opened;
  } catch (error) {
    yield* closeDescriptor(file.fd, file.label);
    throw error;
  }
}

/** Removes the file that was made, unless its name belongs to another one by now. */
function* remove(path: string, label: string, made: BigIntStats): Io<void> {
  try {
    const present = yield* callHost(
      label,
      nodeCall(
        () => lstatSync(path, { bigint: true }),
        (done) => {
          lstat(path, { bigint: true }, done);
        },
      ),
      false,
    );
    if (present.ino !== made.ino || present.dev !== made.dev) {
      return;
    }
    yield* callHost(
      label,
      nodeCommand(
        () => {
          unlinkSync(path);
        },
        (done) => {
          unlink(path, done);
        },
      ),
      false,
    );
  } catch {
    // what made it useless is being reported
  }
}
