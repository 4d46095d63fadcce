import { fstatSync, statSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { isatty } from "node:tty";
import { CommandError } from "./errors/command-error.ts";
import { strerror } from "./errors/strerror.ts";

/** Characters that are collected before they go out. */
const bufferLength = 64 * 1024;

/** Where a command's words go: results to the standard output, everything else to the standard error output. */
export class Terminal {
  /** What the program was called as. */
  readonly program: string;
  /** What a failure exits with that has no code of its own. Another one than 1 where 1 is an answer. */
  failureCode = 1;
  #isInteractive: boolean | undefined;
  #buffered = "";

  constructor(scriptPath: string | undefined) {
    this.program = basename(scriptPath ?? "img").replace(/\.[cm]?js$/, "");
  }

  /** Whether a person watches the standard error output. */
  get isInteractive(): boolean {
    this.#isInteractive ??= isTerminal(2) && process.env["TERM"] !== "dumb";
    return this.#isInteractive;
  }

  /** Columns of the terminal that the standard output is; `undefined`: it isn't one. `COLUMNS` goes before both. */
  get outputWidth(): number | undefined {
    const wanted = Number.parseInt(process.env["COLUMNS"] ?? "", 10);
    if (wanted > 0) {
      return wanted;
    }
    return isTerminal(1) ? process.stdout.columns : undefined;
  }

  /** Columns of the terminal that a person watches the standard error output on; 80 when that isn't known. */
  get noteWidth(): number {
    try {
      return process.stderr.columns > 0 ? process.stderr.columns : 80;
    } catch {
      return 80;
    }
  }

  /** Adds a result to the standard output. It goes out with {@link flush}, or when much has come together. @throws CommandError as `flush` */
  async print(text: string): Promise<void> {
    this.#buffered += text;
    if (this.#buffered.length >= bufferLength) {
      await this.flush();
    }
  }

  /**
   * Writes what was printed; waits for whoever reads it.
   * @throws CommandError when it can't be written; one that isn't told when nobody reads any more
   */
  async flush(): Promise<void> {
    const text = this.#buffered;
    this.#buffered = "";
    try {
      await send(text);
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      const isUnread = code === "EPIPE" || code === "ECONNRESET";
      throw new CommandError(`cannot write to the standard output: ${strerror(code) ?? message}`, {
        isSilent: isUnread,
        cause: error,
      });
    }
  }

  /** {@link flush} after a failure, which is what matters. */
  async flushAfterFailure(): Promise<void> {
    await this.flush().catch(() => undefined);
  }

  /** Says on the standard output what was, or is going to be, done. That it can't be said changes nothing. */
  async remark(text: string): Promise<void> {
    await this.flush();
    await send(text).catch(() => undefined);
  }

  /** Writes to the standard output at once: what is to be seen while the command goes on. That it can't be seen changes nothing. */
  write(text: string): void {
    writeAnyway("stdout", text);
  }

  /** Writes to the standard error output at once. That it can't be written changes nothing: there is nowhere left to say so. */
  note(text: string): void {
    writeAnyway("stderr", text);
  }

  /** `text` in a colour (an SGR code) for the standard error output, where colours are welcome. */
  paint(code: number, text: string): string {
    return painted(this.isInteractive, code, text);
  }

  /** The same for the standard output. */
  paintOutput(code: number, text: string): string {
    return painted(isTerminal(1) && process.env["TERM"] !== "dumb", code, text);
  }
}

/** What Node's streams know, too, without making one: that, and loading what Node asks terminals with, takes longer than most commands. */
function isTerminal(fd: 1 | 2): boolean {
  if (process.platform !== "win32") {
    const stats = fstatSync(fd);
    if (!stats.isCharacterDevice() || stats.rdev === statSync("/dev/null").rdev) {
      return false;
    }
  }
  return isatty(fd);
}

function painted(isWatched: boolean, code: number, text: string): string {
  return isWatched && (process.env["NO_COLOR"] ?? "") === "" ? `\u001b[${String(code)}m${text}\u001b[0m` : text;
}

/** Writes to the standard output, and waits until all has gone out. @throws Error of the host */
async function send(text: string): Promise<void> {
  const bytes = Buffer.from(text);
  const rest = bytes.subarray(writeNow(bytes));
  if (rest.length > 0) {
    const stream = standardStream("stdout");
    await new Promise<void>((resolve, reject) => {
      stream.write(rest, (error) => {
        if (error === undefined || error === null) {
          resolve();
        } else {
          reject(error);
        }
      });
    });
  }
}

/**
 * Writes to the standard output without a stream, which would take Node longer to make than most of our answers take.
 * @returns how many bytes went out; the rest has to wait, because the reader is slow
 * @throws Error of the host
 */
function writeNow(bytes: Uint8Array): number {
  let done = 0;
  try {
    while (done < bytes.length) {
      done += writeSync(1, bytes, done);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") {
      throw error;
    }
  }
  return done;
}

function writeAnyway(name: "stdout" | "stderr", text: string): void {
  try {
    standardStream(name).write(text);
  } catch {
    // some streams throw what others tell later
  }
}

/** @throws Error when there is none that could be written to, as with a terminal that was hung up */
function standardStream(name: "stdout" | "stderr"): NodeJS.WriteStream {
  const stream = process[name];
  if (!stream.listeners("error").includes(ignore)) {
    // without a listener, a failure would end the process
    stream.on("error", ignore);
  }
  return stream;
}

function ignore(): void {
  // told by the write that fails, or to nobody
}
