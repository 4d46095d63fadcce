import type { Progress } from "@img/operations";
import type { Terminal } from "../terminal.ts";
import { humanSize } from "./human-size.ts";
import type { ProgressLine } from "./progress-line.ts";

/** What is over sooner than this many milliseconds needs no bar. */
const patience = 300;
/** Milliseconds between two drawings. */
const interval = 100;
const barWidth = 24;

/** A line with percentage, bar, bytes, rate and time to go; goes away when the command ends. */
export class ProgressBar implements ProgressLine {
  readonly #terminal: Terminal;
  readonly #started = performance.now();
  #drawn: number | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(progress: Progress): void {
    const now = performance.now();
    if (now - this.#started >= patience && now - (this.#drawn ?? 0) >= interval) {
      this.#drawn = now;
      this.#terminal.note(`\r${progressText(progress, (now - this.#started) / 1000, this.#terminal)}\u001b[K`);
    }
  }

  clear(): void {
    if (this.#drawn !== undefined) {
      this.#terminal.note("\r\u001b[K");
    }
  }

  end(): void {
    // nothing was left to end
  }
}

/** @param seconds - since the beginning, above 0 */
function progressText({ done, total }: Progress, seconds: number, terminal: Terminal): string {
  const part = total === 0 ? 1 : done / total;
  const filled = Math.floor(part * barWidth);
  const bar = terminal.paint(36, "━".repeat(filled)) + terminal.paint(2, "─".repeat(barWidth - filled));
  const rate = done / seconds;
  const left = rate === 0 ? "" : `  ${clock((total - done) / rate)} left`;
  const percent = `${String(Math.floor(part * 100)).padStart(3)}%`;
  return `${percent} ${bar} ${humanSize(done)} of ${humanSize(total)}  ${humanSize(Math.round(rate))}/s${left}`;
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const text = `${String(minutes)}:${String(whole % 60).padStart(2, "0")}`;
  return hours === 0 ? text : `${String(hours)}:${text.padStart(5, "0")}`;
}
