import { once } from "node:events";
import { basename } from "node:path";

/** Characters that are collected before they go out. */
const bufferLength = 64 * 1024;

/** Where a command's words go: results to the standard output, everything else to the standard error output. */
export class Terminal {
  /** What the program was called as. */
  readonly program: string;
  /** Whether a person watches the standard error output. */
  readonly isInteractive: boolean;
  readonly #color: boolean;
  #buffered = "";

  constructor(scriptPath: string | undefined) {
    this.program = basename(scriptPath ?? "img").replace(/\.[cm]?js$/, "");
    this.isInteractive = process.stderr.isTTY && process.env["TERM"] !== "dumb";
    this.#color = this.isInteractive && (process.env["NO_COLOR"] ?? "") === "";
  }

  /** Adds to the standard output. It goes out with {@link flush}, or when much has come together. */
  async print(text: string): Promise<void> {
    this.#buffered += text;
    if (this.#buffered.length >= bufferLength) {
      await this.flush();
    }
  }

  /** Writes what was printed; waits for whoever reads it. */
  async flush(): Promise<void> {
    const text = this.#buffered;
    this.#buffered = "";
    if (text !== "" && !process.stdout.write(text)) {
      await once(process.stdout, "drain");
    }
  }

  /** Writes to the standard error output at once. */
  note(text: string): void {
    process.stderr.write(text);
  }

  /** `text` in a colour (an SGR code), where colours are welcome. */
  paint(code: number, text: string): string {
    return this.#color ? `\u001b[${String(code)}m${text}\u001b[0m` : text;
  }
}
