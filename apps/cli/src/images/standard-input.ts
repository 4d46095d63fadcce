import { fstatSync, readFileSync, realpathSync, statSync, unlinkSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";
import { openerFromFunctions, StorageDecorator, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { ImageSpec } from "@img/operations/node";
import { forwardStorage, type ForwardStorage } from "@img/storage-adapters";
import { FileStorage } from "@img/storage-fs";
import { CommandError } from "../errors/command-error.ts";
import { requireSize } from "../values/parse-size.ts";
import type { VerbContext } from "../verbs/verb.ts";

/** What a source is called that is read from standard input. */
export const standardInputName = "-";

/** A location that no image can name: its opener is only given to the image that was asked for by {@link standardInputName}. */
const location = "standard-input:";
const qcow2Magic = [0x51, 0x46, 0x49, 0xfb];
const defaultSpillLimit = 4 * 1024 * 1024 * 1024;

/** Standard input as one of a command's sources. */
export class StandardInput {
  readonly #signal: AbortSignal;
  readonly #spillLimit: number;
  #isTaken = false;
  #stream: ForwardStorage | undefined;

  /** @throws CommandError when `--spill-limit` is no size */
  constructor({ args, signal }: Pick<VerbContext, "args" | "signal">) {
    const limit = args.value("spill-limit");
    this.#signal = signal;
    this.#spillLimit = limit === undefined ? defaultSpillLimit : requireSize(limit, "spill limit");
  }

  /**
   * How to open it, any number of times. A file is opened as such; anything else is read as a stream.
   * @param format - what was asked for. Without one, or with one other than qcow2, everything may have to be read before the image is open
   * @throws CommandError when it is a terminal, or was asked for before
   */
  spec(format: string | undefined): Pick<ImageSpec, "path" | "storages"> {
    if (this.#isTaken) {
      throw new CommandError("Could not open '-': standard input can be read by one image only");
    }
    if (isatty(0)) {
      throw new CommandError("Could not open '-': standard input is a terminal", {
        hint: "a file of that name is called ./-",
      });
    }
    if (fstatSync(0).isDirectory()) {
      throw new CommandError("Could not open '-': standard input is a directory");
    }
    this.#isTaken = true;
    const path = seekablePath();
    if (path !== undefined) {
      return { path };
    }
    const opener = openerFromFunctions({
      open: async () => new LentStorage(await this.#opened(format)),
      canonical: async () => location,
    });
    return { path: location, storages: { "standard-input": opener } };
  }

  /** Reads what is left, so that whoever writes it isn't stopped, and a failure at the end is seen. */
  async finish(): Promise<void> {
    await this.#stream?.drain();
  }

  /** Lets go of it, whether there is more or not. */
  async close(): Promise<void> {
    await this.#stream?.[Symbol.asyncDispose]();
  }

  async #opened(format: string | undefined): Promise<Storage> {
    if (this.#stream === undefined) {
      this.#stream = forwardStorage(process.stdin, {
        label: "standard input",
        spill: openSpill,
        spillLimit: this.#spillLimit,
        signal: this.#signal,
      });
      if (!(format === "qcow2" || (format === undefined && (await beginsLikeQcow2(this.#stream))))) {
        // what has no header that says how long it is, is as long as what comes
        await this.#stream.measure();
      }
    }
    return this.#stream;
  }
}

/** Does `work` with standard input at hand, and lets go of it afterwards. */
export async function withStandardInput<T>(
  context: Pick<VerbContext, "args" | "signal">,
  work: (input: StandardInput) => Promise<T>,
): Promise<T> {
  const input = new StandardInput(context);
  try {
    return await work(input);
  } finally {
    await input.close();
  }
}

/** Stays open when an image that lies in it is closed: it can't be opened again. */
class LentStorage extends StorageDecorator {
  /** An image that names it as its own backing image is a loop. */
  override get identity(): string {
    return location;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    // whoever lent it closes it
  }
}

/** Where standard input lies, if it is a file or block device that is read from its beginning. */
function seekablePath(): string | undefined {
  const stats = fstatSync(0, { bigint: true });
  if (!stats.isFile() && !stats.isBlockDevice()) {
    return undefined;
  }
  try {
    if (!/^pos:\s*0$/m.test(readFileSync("/proc/self/fdinfo/0", "latin1"))) {
      return undefined;
    }
    const path = realpathSync("/proc/self/fd/0");
    const named = statSync(path, { bigint: true });
    return named.dev === stats.dev && named.ino === stats.ino ? path : undefined;
  } catch {
    // not Linux, or the file has no name any more
    return undefined;
  }
}

async function beginsLikeQcow2(storage: ForwardStorage): Promise<boolean> {
  const start = new Uint8Array(qcow2Magic.length);
  try {
    await storage.read(IoVector.single(start), 0);
  } catch (error) {
    if (storage.size === Infinity) {
      throw error;
    }
    // it is shorter than that
    return false;
  }
  return qcow2Magic.every((byte, index) => byte === start[index]);
}

/** A file that nobody else sees, and that is gone when it is closed. */
async function openSpill(): Promise<Storage> {
  const path = join(tmpdir(), `img-spill-${randomUUID()}`);
  const file = await FileStorage.create(path, { lock: "off", mode: 0o600 });
  unlinkSync(path);
  return file;
}
