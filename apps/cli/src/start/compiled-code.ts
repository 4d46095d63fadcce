import { randomUUID } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
  type Stats,
} from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

/** Bytes before the compiled code: what it was made from, filled up with spaces. */
const headLength = 256;

/** Bytes that the two copies are compared by: memory that is used again stays in the processor's cache. */
const pieceLength = 64 * 1024;

/** What {@link CompiledCode.keep} writes to at first, and how old that is, in milliseconds, when whoever wrote it is gone. */
const partName = /\.code\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const partAge = 60_000;

/** Nobody but the owner may write, whatever else they may do. */
const writableByOthers = 0o022;

/**
 * A file with what V8 made of a program's file, for the next run. V8 trusts what it is given, so the file counts only if it, its directory and
 * the directory around that belong to the user who runs us, and nobody else can write the first two. It has the code twice, because V8 doesn't notice
 * damage, and comparing takes a tenth of the time that a checksum would: Node's functions for that have to be loaded first.
 */
export class CompiledCode {
  readonly #directory: string;
  readonly #path: string;
  readonly #head: Buffer;

  private constructor(directory: string, name: string, head: Buffer) {
    this.#directory = directory;
    this.#path = join(directory, `${name}.code`);
    this.#head = head;
  }

  /**
   * Where the compiled code of a file is kept: below `XDG_CACHE_HOME`, or `.cache` in `HOME`; one file for each program file and version of Node.
   *
   * @param name - of the program's file
   * @param source - what it was made from, beside this version of Node: code that was kept with other words isn't used
   * @returns `undefined` where there is no such place, and when `NODE_DISABLE_COMPILE_CACHE` or `NODE_V8_COVERAGE` is set, as in Node
   */
  static for(name: string, source: string, env: NodeJS.ProcessEnv): CompiledCode | undefined {
    const base = baseDirectory(env);
    const { version, arch } = process;
    const head = Buffer.alloc(headLength, " ");
    const words = `${name} ${version} ${arch} ${source}\n`;
    if (base === undefined || Buffer.byteLength(words) > headLength) {
      return undefined;
    }
    head.write(words);
    return new CompiledCode(join(base, "img"), `${name}-${version}-${arch}`, head);
  }

  /** What was kept; `undefined`: nothing, or nothing that may be trusted. */
  read(): Buffer | undefined {
    try {
      if (!isOurs(lstatSync(this.#directory)) || !belongsToUs(lstatSync(dirname(this.#directory)))) {
        return undefined;
      }
      const file = openSync(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        const stats = fstatSync(file);
        return isOurs(stats) ? readTwice(file, this.#head, (stats.size - headLength) / 2) : undefined;
      } finally {
        closeSync(file);
      }
    } catch {
      return undefined;
    }
  }

  /**
   * Keeps code for later runs, if there is a place for it. A reader sees all of it or nothing, also after a power cut, and when several threads or
   * processes keep the same file's at once.
   * @param make - gives the code; only called when it can be kept
   */
  keep(make: () => Uint8Array): void {
    // threads have the same process id, and so have processes of containers that share a home
    const part = `${this.#path}.${randomUUID()}`;
    try {
      makeDirectory(this.#directory);
      removeParts(this.#directory);
      const file = openSync(part, "wx", 0o600);
      try {
        this.#write(file, make);
        renameSync(part, this.#path);
      } catch {
        unlinkSync(part);
      }
    } catch {
      // this run has done its work; a later one may keep something
    }
  }

  #write(file: number, make: () => Uint8Array): void {
    try {
      writeAll(file, this.#head);
      const code = make();
      writeAll(file, code);
      writeAll(file, code);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}

function baseDirectory(env: NodeJS.ProcessEnv): string | undefined {
  if (process.geteuid?.() === undefined || process.geteuid() !== process.getuid?.()) {
    // who owns a file can't be told here, or we act for somebody else
    return undefined;
  }
  if (env["NODE_DISABLE_COMPILE_CACHE"] !== undefined || env["NODE_V8_COVERAGE"] !== undefined) {
    return undefined;
  }
  const { XDG_CACHE_HOME: cache = "", HOME: home = "" } = env;
  if (isAbsolute(cache)) {
    return cache;
  }
  return isAbsolute(home) ? join(home, ".cache") : undefined;
}

/** @throws Error when there is none and none can be made, or not one of ours alone */
function makeDirectory(path: string): void {
  const base = dirname(path);
  if (lstatSync(base, { throwIfNoEntry: false }) === undefined) {
    if (!belongsToUs(lstatSync(dirname(base)))) {
      throw new Error(`${base} would be somebody else's`);
    }
    mkdirSync(base, { mode: 0o700 });
  }
  if (!belongsToUs(lstatSync(base))) {
    throw new Error(`${base} is somebody else's`);
  }
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    mkdirSync(path, { mode: 0o700 });
  }
  if (!isOurs(lstatSync(path))) {
    throw new Error(`${path} can be changed by others`);
  }
}

/** Removes what runs that were killed left of what they kept. */
function removeParts(directory: string): void {
  const now = Date.now();
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const { mtimeMs = now } = partName.test(name) ? (lstatSync(path, { throwIfNoEntry: false }) ?? {}) : {};
    if (now - mtimeMs > partAge) {
      rmSync(path, { force: true });
    }
  }
}

function belongsToUs(stats: Stats): boolean {
  return stats.uid === process.geteuid?.();
}

function isOurs(stats: Stats): boolean {
  return belongsToUs(stats) && (stats.isFile() || stats.isDirectory()) && (stats.mode & writableByOthers) === 0;
}

/** The code behind `head`; `undefined`: there is another head, or the two copies aren't the same. */
function readTwice(file: number, head: Uint8Array, length: number): Buffer | undefined {
  if (!Number.isInteger(length) || length <= 0) {
    return undefined;
  }
  const bytes = readPiece(file, Buffer.allocUnsafeSlow(head.length + length));
  const piece = Buffer.allocUnsafeSlow(Math.min(pieceLength, length));
  const code = bytes.subarray(head.length);
  let isGood = bytes.subarray(0, head.length).equals(head);
  for (let at = 0; isGood && at < length; at += pieceLength) {
    const first = code.subarray(at, at + pieceLength);
    isGood = readPiece(file, piece.subarray(0, first.length)).equals(first);
  }
  return isGood ? code : undefined;
}

/** Fills `into`. @throws Error when the file has no more */
function readPiece(file: number, into: Buffer): Buffer {
  for (let done = 0; done < into.length;) {
    const got = readSync(file, into, done, into.length - done, null);
    if (got === 0) {
      throw new Error("the file became shorter");
    }
    done += got;
  }
  return into;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(file, bytes, done);
  }
}
