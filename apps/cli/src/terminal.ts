import { once } from "node:events";
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
    return process.stderr.columns > 0 ? process.stderr.columns : 80;
  }

  /** Adds to the standard output. It goes out with {@link flush}, or when much has come together. */
  async print(text: string): Promise<void> {
    this.#buffered += text;
    if (this.#buffered.length >= bufferLength) {
      await this.flush();
    }
  }

  /** Writes what was printed; waits for whoever reads it. Ends the process when nobody does any more. */
  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#buffered);
    this.#buffered = "";
    const rest = bytes.subarray(bytes.length === 0 ? 0 : this.#writeNow(bytes));
    if (rest.length > 0 && !this.#stream().write(rest)) {
      await once(process.stdout, "drain");
    }
  }

  /** Writes to the standard output at once: what is to be seen while the command goes on. */
  write(text: string): void {
    this.#stream().write(text);
  }

  /** Writes to the standard error output at once. */
  note(text: string): void {
    process.stderr.write(text);
  }

  #stream(): NodeJS.WriteStream {
    if (process.stdout.listenerCount("error", this.#failOutput) === 0) {
      process.stdout.on("error", this.#failOutput);
    }
    return process.stdout;
  }

  /**
   * Writes to the standard output without a stream, which would take Node longer to make than most of our answers take.
   * @returns how many bytes went out; the rest has to wait, because the reader is slow
   */
  #writeNow(bytes: Uint8Array): number {
    let done = 0;
    try {
      while (done < bytes.length) {
        done += writeSync(1, bytes, done);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") {
        this.#failOutput(error as NodeJS.ErrnoException);
      }
    }
    return done;
  }

  /** @throws CommandError unless nobody reads on: then there is nothing more to say, and the process ends */
  readonly #failOutput = ({ code = "", message }: NodeJS.ErrnoException): void => {
    if (code === "EPIPE") {
      process.exit(this.failureCode);
    }
    throw new CommandError(`cannot write to the standard output: ${strerror(code) ?? message}`);
  };

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
