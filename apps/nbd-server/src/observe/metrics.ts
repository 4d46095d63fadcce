import { isPromise, type MaybePromise } from "@img/format-core";
import type { AnsweredRequest, NbdExport, NbdObserver } from "@img/nbd";
import { replaceMethods } from "../exports/replace-methods.ts";
import { commandName } from "./command-name.ts";
import { Histogram } from "./histogram.ts";

/** Figures about a server, as Prometheus reads them. */
export class Metrics {
  readonly observer: NbdObserver;
  #clients = 0;
  #clientsTotal = 0;
  #failuresTotal = 0;
  readonly #requests = new Map<string, number>();
  readonly #bytes = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();

  constructor() {
    this.observer = {
      connected: () => {
        this.#clients++;
        this.#clientsTotal++;
      },
      disconnected: () => {
        this.#clients--;
      },
      failed: () => {
        this.#failuresTotal++;
      },
      answered: ({ exportName }, request) => {
        this.#count(exportName ?? "", request);
      },
    };
  }

  /** An export whose calls are timed. */
  timed(name: string, exported: NbdExport): NbdExport {
    const timer = (command: string): ((call: () => MaybePromise<void>) => MaybePromise<void>) => {
      const histogram = new Histogram();
      this.#durations.set(labels({ export: name, command }), histogram);
      return (call) => timeCall(histogram, call);
    };
    const [read, write, zero, trim, flush] = [
      timer("read"),
      timer("write"),
      timer("writeZeroes"),
      timer("trim"),
      timer("flush"),
    ];
    return replaceMethods(exported, {
      read: (into, offset) => read(() => exported.read(into, offset)),
      write: (from, offset) => write(() => exported.write?.(from, offset)),
      writeZeroes: (offset, length, how) => zero(() => exported.writeZeroes?.(offset, length, how)),
      trim: (offset, length) => trim(() => exported.trim?.(offset, length)),
      flush: () => flush(() => exported.flush?.()),
    });
  }

  /** Everything in Prometheus' text format. */
  text(): string {
    const { rss } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return [
      family("img_nbd_clients", "gauge", "clients that are connected", [`img_nbd_clients ${this.#clients}`]),
      family("img_nbd_clients_total", "counter", "clients that have come", [
        `img_nbd_clients_total ${this.#clientsTotal}`,
      ]),
      family("img_nbd_failures_total", "counter", "failures on our side", [
        `img_nbd_failures_total ${this.#failuresTotal}`,
      ]),
      series("img_nbd_requests_total", "requests that were answered", this.#requests),
      series("img_nbd_request_errors_total", "requests that were answered with an error", this.#errors),
      series("img_nbd_bytes_total", "bytes that requests were about", this.#bytes),
      family(
        "img_nbd_request_duration_seconds",
        "histogram",
        "time that images took for requests",
        [...this.#durations].flatMap(([key, histogram]) => histogram.lines("img_nbd_request_duration_seconds", key)),
      ),
      family("process_cpu_seconds_total", "counter", "processor time", [
        `process_cpu_seconds_total ${(user + system) / 1e6}`,
      ]),
      family("process_resident_memory_bytes", "gauge", "memory", [`process_resident_memory_bytes ${rss}`]),
    ].join("");
  }

  #count(exportName: string, { type, length, error }: AnsweredRequest): void {
    const command = commandName(type);
    const key = labels({ export: exportName, command });
    add(this.#requests, key, 1);
    if (error === undefined) {
      add(this.#bytes, key, length);
    } else {
      add(this.#errors, labels({ export: exportName, command, error }), 1);
    }
  }
}

function timeCall(histogram: Histogram, call: () => MaybePromise<void>): MaybePromise<void> {
  const start = performance.now();
  const answer = call();
  const done = (): void => {
    histogram.observe((performance.now() - start) / 1000);
  };
  if (isPromise(answer)) {
    return answer.finally(done);
  }
  done();
  return answer;
}

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}

function labels(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(
      ([name, value]) => `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
    )
    .join(",");
}

function series(name: string, help: string, values: ReadonlyMap<string, number>): string {
  return family(
    name,
    "counter",
    help,
    [...values].map(([key, value]) => `${name}{${key}} ${value}`),
  );
}

function family(name: string, type: string, help: string, lines: readonly string[]): string {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}
