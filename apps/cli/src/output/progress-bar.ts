import type { Progress } from "@img/operations";
import type { Terminal } from "../terminal.ts";
import { humanSize } from "./human-size.ts";
import type { ProgressLine } from "./progress-line.ts";

/** What is over sooner than this many milliseconds needs no bar. */
const patience = 300;
/** Milliseconds between two drawings. */
const interval = 100;
/** Columns of the bar, where there is room. */
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
      const text = progressText(progress, (now - this.#started) / 1000, this.#terminal.noteWidth, (code, part) =>
        this.#terminal.paint(code, part),
      );
      this.#terminal.note(`\r${text}\u001b[K`);
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

/**
 * The line: percentage, bar, bytes, rate, time to go. Where it is narrow, the bar shrinks first; then what comes last is left out.
 *
 * @param seconds - since the beginning, above 0
 * @param columns - what there is room for
 */
export function progressText(
  { done, total }: Progress,
  seconds: number,
  columns: number,
  paint: (code: number, text: string) => string,
): string {
  const part = total === 0 ? 1 : Math.min(1, done / total);
  const rate = done / seconds;
  const facts = [
    `${humanSize(done)} of ${humanSize(total)}`,
    `${humanSize(Math.round(rate))}/s`,
    ...(rate === 0 ? [] : [`${clock((total - done) / rate)} left`]),
  ];
  let words = `${String(Math.floor(part * 100)).padStart(3)}%`;
  const room = columns - 1 - words.length;
  while (facts.length > 0 && facts.join("  ").length + 1 > room) {
    facts.pop();
  }
  const behind = facts.map((fact, index) => `${index === 0 ? " " : "  "}${fact}`).join("");
  const width = Math.min(barWidth, room - behind.length - 1);
  if (width >= 4) {
    const filled = Math.floor(part * width);
    words += ` ${paint(36, "━".repeat(filled))}${paint(2, "─".repeat(width - filled))}`;
  }
  return words + behind;
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const text = `${String(minutes)}:${String(whole % 60).padStart(2, "0")}`;
  return hours === 0 ? text : `${String(hours)}:${text.padStart(5, "0")}`;
}
