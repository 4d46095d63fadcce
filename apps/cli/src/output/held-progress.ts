import type { Progress } from "@img/operations";
import type { ProgressLine } from "./progress-line.ts";

/**
 * Holds back that everything is done until the command says so: what comes last, as making it durable, takes time and may fail, too. What begins anew,
 * or is done once more, doesn't go back.
 */
export class HeldProgress implements ProgressLine {
  readonly #line: ProgressLine;
  /** The greatest part that was shown. */
  #part = 0;
  #end: Progress | undefined;

  /** @param line - shows the rest */
  constructor(line: ProgressLine) {
    this.#line = line;
  }

  show(progress: Progress): void {
    const { done, total } = progress;
    if (done >= total) {
      this.#end = progress;
    } else if (done / total >= this.#part) {
      this.#part = done / total;
      this.#line.show(progress);
    }
  }

  /** Called when everything is done that can fail; makes room for results. */
  complete(): void {
    if (this.#end !== undefined) {
      this.#line.show(this.#end);
    }
    this.clear();
  }

  clear(): void {
    this.#line.clear();
  }

  end(): void {
    this.#line.end();
  }
}
