/** How much is told: failures, clients that come and go, every request. */
export type LogLevel = "error" | "info" | "debug";

/** What belongs to an event, in the order in which it is shown. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

const levels: readonly LogLevel[] = ["error", "info", "debug"];

/** Options of {@link Log}. */
export interface LogOptions {
  readonly format: "text" | "json";
  /** The least important that is told. */
  readonly level: LogLevel;
  /** Takes a line with its end. */
  readonly sink: (line: string) => void;
  /** Default: the time. */
  readonly now?: () => Date;
}

/** Tells what happens, one line for each event: for people (`time level event key=value …`) or as JSON. */
export class Log {
  readonly #options: LogOptions;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** Whether events of that level are told. */
  tells(level: LogLevel): boolean {
    return levels.indexOf(level) <= levels.indexOf(this.#options.level);
  }

  /** Tells of an event. Fields that are `undefined` are left out. */
  write(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (!this.tells(level)) {
      return;
    }
    const { format, sink, now = (): Date => new Date() } = this.#options;
    const time = now().toISOString();
    const given = Object.entries(fields).filter(([, value]) => value !== undefined);
    if (format === "json") {
      sink(`${JSON.stringify({ time, level, event, ...Object.fromEntries(given) })}\n`);
      return;
    }
    sink([time, level, event, ...given.map(([key, value]) => `${key}=${shown(value)}`)].join(" ") + "\n");
  }
}

/** Names come from clients: whatever could be taken for something else is quoted. */
function shown(value: string | number | boolean | undefined): string {
  const text = String(value);
  return typeof value !== "string" || /^[\w@.:/[\]-]+$/.test(text) ? text : JSON.stringify(text);
}
