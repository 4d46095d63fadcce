import { accessSync, constants, readFileSync, readlinkSync, realpathSync, statSync, type Stats } from "node:fs";
import { dirname, isAbsolute } from "node:path";
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
    const label = `file:${JSON.stringify(name)}`;
    throw wrapHostError(error, `cannot open ${label}`, label);
  }
}

/**
 * Where a new file can take the name of a file, as far as that can be known before it is tried: the file has no other name, isn't mounted there, and its
 * directory lets us create, rename and remove.
 * @returns the file's own name, which doesn't lead through links; `undefined`: the file has to be written in place
 */
export function* replaceablePath(name: string, found: Stats): Io<string | undefined> {
  if (!found.isFile() || found.nlink !== 1) {
    return undefined;
  }
  try {
    const path = yield* askHost(
      name,
      () => realpath(name),
      () => realpathSync.native(name),
    );
    const directory = dirname(path);
    yield* checkAccess(directory);
    const isKept = belongsToOthers(found, yield* status(directory)) || (yield* isMountPoint(path));
    return isKept ? undefined : path;
  } catch {
    return undefined;
  }
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
