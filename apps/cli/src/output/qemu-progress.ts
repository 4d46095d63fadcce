import type { Progress } from "@img/operations";
import { percentText } from "./percent-text.ts";
import type { ProgressLine } from "./progress-line.ts";

/** Points of a hundred that have to be gained before there is something new to print. */
const step = 2;

/** `    (45.34/100%)`, each time over the last: programs look for it. */
export class QemuProgress implements ProgressLine {
  readonly #write: (text: string) => void;
  #printed: number | undefined;

  /** @param write - where it goes */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  show(progress: Progress): void {
    const { done, total } = progress;
    const percent = total === 0 ? 100 : (done / total) * 100;
    if (this.#printed === undefined && percent > 0) {
      // who watches counts on a beginning
      this.#print({ done: 0, total: 1 }, 0);
    }
    if (this.#printed === undefined || percent - this.#printed >= step || (percent === 100 && this.#printed < 100)) {
      this.#print(progress, percent);
    }
  }

  #print(progress: Progress, percent: number): void {
    this.#printed = percent;
    this.#write(`${percentText(progress)}\r`);
  }

  clear(): void {
    // what comes next overwrites the line, as it does with qemu-img
  }

  end(): void {
    this.#write("\n");
  }
}
