import { close as closeFile, constants, fstatSync, open as openFile, write as writeFile } from "node:fs";
import type { Socket } from "node:net";
import { isatty } from "node:tty";
import { promisify } from "node:util";
import { CommandError } from "../errors/command-error.ts";
import { strerror } from "../errors/strerror.ts";

const write = promisify(writeFile);
const open = promisify(openFile);
const close = promisify(closeFile);

/** Milliseconds. */
const betweenOpenings = 20;

/** Nobody reads what is written any more. */
export class OutputClosed extends Error {
  override readonly name: string = "OutputClosed";
}

/** Something that takes bytes in order and can't go back: the standard output, or a named pipe. */
export class ByteOutput {
  readonly #name: string;
  readonly #fd: number;
  /** Pipes: whoever reads may be slow, and a thread that waits for it couldn't be told to stop. */
  readonly #socket: Socket | undefined;
  readonly #close: () => Promise<void>;

  private constructor(name: string, fd: number, close: () => Promise<void>) {
    this.#name = name;
    this.#fd = fd;
    this.#close = close;
    const stats = fstatSync(fd);
    if (stats.isFIFO() || stats.isSocket()) {
      // takes a millisecond to load, and files don't need it
      const { Socket: Pipe } = process.getBuiltinModule("node:net");
      this.#socket = new Pipe({ fd, readable: false, writable: true });
      // told by the write that fails
      this.#socket.on("error", () => undefined);
    }
  }

  /**
   * The standard output.
   * @throws CommandError when it is a terminal
   */
  static standard(): ByteOutput {
    if (isatty(1)) {
      throw new CommandError("refusing to write an image to a terminal", {
        hint: "send the output to a program or a file; a file called - is ./-",
      });
    }
    return new ByteOutput("the standard output", 1, async () => undefined);
  }

  /**
   * A named pipe; waits for somebody who reads it.
   * @throws CommandError when it can't be opened; the signal's reason
   */
  static async pipe(path: string, signal: AbortSignal): Promise<ByteOutput> {
    const fd = await openPipe(path, signal);
    return new ByteOutput(path, fd, () => close(fd));
  }

  /**
   * Writes all of `bytes`, and waits until whoever reads has taken as much as there is no room for on the way.
   * @throws OutputClosed when nobody reads any more; CommandError for what else goes wrong; the signal's reason
   */
  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    try {
      await (this.#socket === undefined ? this.#writeFile(bytes) : send(this.#socket, bytes, signal));
    } catch (error) {
      signal.throwIfAborted();
      const { code = "", message } = error as NodeJS.ErrnoException;
      if (code === "EPIPE" || code === "ECONNRESET") {
        throw new OutputClosed(message);
      }
      throw new CommandError(`cannot write to ${this.#name}: ${strerror(code) ?? message}`, { cause: error });
    }
  }

  async #writeFile(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await write(this.#fd, bytes, done)).bytesWritten;
    }
  }

  /** Lets go of it. What was written is on its way. */
  async close(): Promise<void> {
    if (this.#socket !== undefined) {
      this.#socket.destroy();
      return;
    }
    await this.#close();
  }
}

/** Asks again and again: an opening that waits for a reader keeps a thread, and the process, which couldn't be told to end. */
async function openPipe(path: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      if (code !== "ENXIO") {
        throw new CommandError(`Could not open '${path}': ${strerror(code) ?? message}`, { cause: error });
      }
    }
    await pause(signal);
  }
}

/** Waits until there may be a reader, or until the signal comes. */
function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, betweenOpenings);
    signal.addEventListener("abort", end);
  });
}

function send(socket: Socket, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      // a write that waits for a reader would keep the process
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", stop, { once: true });
    socket.write(bytes, (error) => {
      signal.removeEventListener("abort", stop);
      if (error === undefined || error === null) {
        resolve();
      } else {
        reject(error);
      }
    });
  });
}
