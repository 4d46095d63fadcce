import { accessSync, constants, readFileSync, readlinkSync, realpathSync, statSync, type Stats } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { wrapHostError, type Io } from "@img/format-core";
import { askHost } from "./ask-host.ts";
import { access, readFile, readlink, realpath, stat } from "./host-files.ts";

/** Links behind each other that Linux follows. */
const mostLinks = 40;

/** What the name of a target means. */
export interface TargetName {
  /** The name; for one that only links to a file that isn't there, that file's. */
  readonly path: string;
  /** `undefined`: there is nothing yet. */
  readonly found: Stats | undefined;
}

/** Looks a target up. @throws ImgError with the host's code when the host can't tell */
export function* findTarget(name: string): Io<TargetName> {
  try {
    const found = yield* statIfExists(name);
    return { path: found === undefined ? yield* followLinks(name) : name, found };
  } catch (error) {
    throw cannotOpen(name, error);
  }
}

/**
 * Tells the file that a name means from others, also while it isn't there yet.
 * @throws ImgError as {@link findTarget}
 */
export function* targetIdentity(name: string): Io<string> {
  const { path, found } = yield* findTarget(name);
  try {
    return yield* found === undefined ? placeOf(path) : fileIdentity(path);
  } catch (error) {
    throw cannotOpen(name, error);
  }
}

/**
 * Where a new file can take the name of a file, as far as that can be known before it is tried: the file has no other name, isn't mounted there, and its
 * directory lets us create, rename and remove.
 * @returns the file's own name, which doesn't lead through links; `undefined`: the file has to be written in place
 * @throws ImgError with the host's code when the host can't tell: what is there is too precious then to be written over
 */
export function* replaceablePath(name: string, found: Stats): Io<string | undefined> {
  if (!found.isFile() || found.nlink !== 1) {
    return undefined;
  }
  try {
    const path = yield* realPath(name);
    const directory = dirname(path);
    yield* checkAccess(directory);
    const isKept = belongsToOthers(found, yield* status(directory)) || (yield* isMountPoint(path));
    return isKept ? undefined : path;
  } catch (error) {
    if (forbidsNames(error)) {
      return undefined;
    }
    throw cannotOpen(name, error);
  }
}

/** Whether the host doesn't let us make names, which needn't keep us from writing what is there. */
export function forbidsNames(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS", "ENAMETOOLONG"].some((code) => hasCode(error, code));
}

function cannotOpen(name: string, error: unknown): unknown {
  const label = `file:${JSON.stringify(name)}`;
  return wrapHostError(error, `cannot open ${label}`, label);
}

function* statIfExists(path: string): Io<Stats | undefined> {
  try {
    return yield* status(path);
  } catch (error) {
    if (hasCode(error, "ENOENT")) {
      return undefined;
    }
    throw error;
  }
}

/** Where a link leads that leads to nothing. */
function* followLinks(name: string): Io<string> {
  let path = name;
  for (let links = 0; links < mostLinks; links++) {
    const link = yield* linkAt(path);
    // a name that ends like a directory's can't become a file
    if (link === undefined || link.endsWith("/")) {
      return path;
    }
    path = isAbsolute(link) ? link : `${dirname(path)}/${link}`;
  }
  return name;
}

function* linkAt(path: string): Io<string | undefined> {
  try {
    return yield* askHost(
      path,
      () => readlink(path),
      () => readlinkSync(path),
    );
  } catch (error) {
    // no link, or nothing at all
    if (hasCode(error, "EINVAL") || hasCode(error, "ENOENT")) {
      return undefined;
    }
    throw error;
  }
}

/** Where a file is going to be, whichever links its directory's name leads through. */
function* placeOf(path: string): Io<string> {
  try {
    return join(yield* realPath(dirname(path)), basename(path));
  } catch (error) {
    // without the directory, there won't be a file either
    if (hasCode(error, "ENOENT")) {
      return path;
    }
    throw error;
  }
}

function* fileIdentity(path: string): Io<string> {
  const { dev, ino } = yield* askHost(
    path,
    () => stat(path, { bigint: true }),
    () => statSync(path, { bigint: true }),
  );
  return `file ${String(dev)}:${String(ino)}`;
}

function realPath(path: string): Io<string> {
  return askHost(
    path,
    () => realpath(path),
    () => realpathSync.native(path),
  );
}

function* checkAccess(directory: string): Io<void> {
  const mode = constants.W_OK | constants.X_OK;
  yield* askHost(
    directory,
    () => access(directory, mode),
    () => {
      accessSync(directory, mode);
    },
  );
}

/** In directories with the sticky bit, as `/tmp` has it, only owners may rename and remove. */
function belongsToOthers(file: Stats, directory: Stats): boolean {
  const uid = process.geteuid?.();
  const isSticky = (directory.mode & 0o1000) !== 0;
  return isSticky && uid !== undefined && uid !== 0 && uid !== file.uid && uid !== directory.uid;
}

/** Whether a file is mounted at `path`, as containers get single files of their host. Only Linux tells. */
function* isMountPoint(path: string): Io<boolean> {
  const table = "/proc/self/mountinfo";
  try {
    const text = yield* askHost(
      table,
      () => readFile(table, "utf8"),
      () => readFileSync(table, "utf8"),
    );
    return text.split("\n").some((line) => unescaped(line.split(" ")[4] ?? "") === path);
  } catch {
    return false;
  }
}

/** Blanks and the like are there as their codes in octal digits. */
function unescaped(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function status(path: string): Io<Stats> {
  return askHost(
    path,
    () => stat(path),
    () => statSync(path),
  );
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
