import type { FormatAccess } from "@img/format-core";
import type { Terminal } from "../terminal.ts";
import { CommandArguments } from "./command-arguments.ts";
import type { IoCommand } from "./io-command.ts";
import { IoError } from "./io-error.ts";
import type { IoImage } from "./open-io-image.ts";

/** A sequence of commands on one image at a time. */
export class IoSession {
  readonly #terminal: Terminal;
  readonly #commands: readonly IoCommand[];
  readonly #open: OpenForIo;
  /** Aborted when the session is to end: commands that wait for something hear it. */
  readonly signal: AbortSignal;
  readonly #pending = new Set<Promise<void>>();
  #image: IoImage | undefined;
  #failed = false;
  #unsaid: unknown;
  #ended = false;

  constructor(terminal: Terminal, commands: readonly IoCommand[], open: OpenForIo, signal: AbortSignal) {
    this.#terminal = terminal;
    this.#commands = commands;
    this.#open = open;
    this.signal = signal;
    // what has stopped goes on, so that the session can end
    signal.addEventListener("abort", () => this.#image?.breakpoints?.clear());
  }

  /** Whether a command failed. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether `quit` was said. */
  get ended(): boolean {
    return this.#ended;
  }

  get commands(): readonly IoCommand[] {
    return this.#commands;
  }

  /** The image that is open, and how it was opened. */
  get image(): IoImage | undefined {
    return this.#image;
  }

  /** Opens an image in place of none. @throws IoError when there is one, or it can't be opened */
  async open(request: IoOpenRequest): Promise<void> {
    if (this.#image !== undefined) {
      throw this.fault("file open already, try 'help close'");
    }
    const image = await this.#open(request);
    this.#image = image;
    if (image.breakpoints !== undefined) {
      image.breakpoints.listener = {
        onSuspend: (tag) => void this.print(`blkdebug: Suspended request '${tag}'\n`),
        onResume: (tag) => void this.print(`blkdebug: Resuming request '${tag}'\n`),
      };
    }
  }

  /** Closes the image, if there is one. */
  async close(): Promise<void> {
    this.#image?.breakpoints?.clear();
    await this.settle();
    const image = this.#image;
    this.#image = undefined;
    await image?.close();
  }

  /** Ends the session after this command. */
  end(): void {
    this.#ended = true;
  }

  /** Prints what a command has to say. That it can't be printed doesn't keep commands from doing what they do; see {@link throwIfUnsaid}. */
  async print(text: string): Promise<void> {
    await this.#say(() => this.#terminal.print(text));
  }

  /** Sends what was printed on its way. */
  async flush(): Promise<void> {
    await this.#say(() => this.#terminal.flush());
  }

  /** @throws CommandError when something couldn't be printed */
  throwIfUnsaid(): void {
    if (this.#unsaid !== undefined) {
      throw this.#unsaid as Error;
    }
  }

  async #say(say: () => Promise<void>): Promise<void> {
    try {
      await say();
    } catch (error) {
      this.#unsaid ??= error;
    }
  }

  /** An error with the program's name, for the error output. */
  fault(message: string): IoError {
    return new IoError(`${this.#terminal.program}: ${message}`, "errors");
  }

  /** Lets a request go on while other commands run. */
  background(work: Promise<void>): void {
    const settled = work.finally(() => {
      this.#pending.delete(settled);
    });
    this.#pending.add(settled);
  }

  /** Lets what can go on do so. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }

  /** Waits for all requests in the background. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) {
      await Promise.all(this.#pending);
    }
  }

  /** Runs one line. Failures are reported, and noted. */
  async run(line: string): Promise<void> {
    const [name, ...words] = line.split(/\s+/).filter((word) => word !== "");
    if (name === undefined) {
      return;
    }
    try {
      await this.#run(name, words);
    } catch (error) {
      if (!(error instanceof IoError)) {
        throw error;
      }
      this.#failed = true;
      if (error.to === "silent") {
        return;
      }
      if (error.to === "errors") {
        await this.flush();
        this.#terminal.note(`${error.message}\n`);
      } else {
        await this.print(`${error.message}\n`);
      }
    }
  }

  async #run(name: string, words: readonly string[]): Promise<void> {
    const command = this.#commands.find((each) => each.name === name || each.alias === name);
    if (command === undefined) {
      throw new IoError(`command "${name}" not found`, "errors");
    }
    checkCount(name, words.length, command.words);
    const image = this.#image;
    if (image === undefined && command.withoutImage !== true) {
      throw new IoError("no file open, try 'help open'", "errors");
    }
    if (command.writes === true && image?.access.writable !== true) {
      throw this.fault("Block node is read-only");
    }
    const usage = (): never => {
      throw new IoError(commandLine(command));
    };
    await command.run({
      args: await this.#arguments(command, name, words),
      session: this,
      get image(): FormatAccess {
        if (image === undefined) {
          throw new Error(`${name} runs without an image`);
        }
        return image.access;
      },
      usage,
    });
  }

  /** @throws IoError for what is no flag: that goes to one output, how the command is used to the other */
  async #arguments(command: IoCommand, name: string, words: readonly string[]): Promise<CommandArguments> {
    try {
      return new CommandArguments(name, words, command.flags ?? "");
    } catch (error) {
      if (error instanceof IoError) {
        await this.flush();
        this.#terminal.note(`${error.message}\n`);
        throw new IoError(commandLine(command));
      }
      throw error;
    }
  }
}

/** What to open, and how. */
export interface IoOpenRequest {
  /** A name as on the command line; absent: `options` say it. */
  readonly name: string | undefined;
  /** `key=value,…` for the format. */
  readonly options: string | undefined;
  readonly readOnly: boolean;
  /** Writes go to a place that is gone afterwards. */
  readonly snapshot: boolean;
  readonly cache: string | undefined;
  readonly discard: string | undefined;
  readonly aio: string | undefined;
  readonly forceShare: boolean;
  /** What is read from below stays in the image. */
  readonly copyOnRead: boolean;
}

/** Opens images for a session. */
export type OpenForIo = (request: IoOpenRequest) => Promise<IoImage>;

/** A command with its arguments and what it does, in a line. */
export function commandLine({ name, usage, summary }: IoCommand): string {
  return `${name} ${usage === undefined ? "" : `${usage} `}-- ${summary}`;
}

function checkCount(name: string, count: number, [least, most]: readonly [number, number]): void {
  if (count >= least && count <= most) {
    return;
  }
  const expected =
    most === Infinity
      ? `at least ${String(least)}`
      : least === most
        ? String(least)
        : `between ${String(least)} and ${String(most)}`;
  throw new IoError(`bad argument count ${String(count)} to ${name}, expected ${expected} arguments`, "errors");
}
