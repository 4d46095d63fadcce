import { getEventListeners } from "node:events";
import { MemoryStorage, perform, runAsync, type Io } from "@img/format-core";
import { raw } from "@img/raw";
import { describe, expect, it } from "vitest";
import { convertIo } from "../src/convert/convert.ts";
import { compare, type PartHelper, type SharedPart, type SharedParts } from "../src/index.ts";

const MiB = 1024 * 1024;
/** Three parts. */
const size = 24 * MiB;
const contents = new Uint8Array(size).fill(1);

/** Takes one part, and works on it as long as it is wanted; with a limit, so that a test ends that fails. */
class Busy implements PartHelper {
  /** Whether the part wasn't wanted any more before it gave up. */
  wasStopped = false;
  readonly #whileWaitedFor: () => void;
  #mine: SharedPart | undefined;
  #parts: SharedParts | undefined;

  /** @param whileWaitedFor - called when everybody waits for this one */
  constructor(whileWaitedFor: () => void) {
    this.#whileWaitedFor = whileWaitedFor;
  }

  *consider(parts: SharedParts): Io<void> {
    this.#parts = parts;
    this.#mine ??= parts.take();
  }

  end(): Io<void> {
    return perform({ label: "busy", async: () => this.#work() });
  }

  async #work(): Promise<void> {
    setTimeout(this.#whileWaitedFor, 10);
    const limit = performance.now() + 1000;
    while (!this.wasStopped && performance.now() < limit) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.wasStopped = this.#mine !== undefined && this.#parts?.isWanted(this.#mine) === false;
    }
    if (this.#mine !== undefined && !this.wasStopped) {
      this.#parts?.finish(this.#mine);
    }
  }
}

type Work = (helper: PartHelper, signal: AbortSignal) => Promise<unknown>;

async function convert(helper: PartHelper, signal: AbortSignal): Promise<unknown> {
  const source = await raw.open(new MemoryStorage(contents));
  const target = await raw.open(new MemoryStorage(new Uint8Array(size)), { writable: true });
  return await runAsync(convertIo([source], target, {}, { helper }), signal);
}

async function compareEqual(helper: PartHelper, signal: AbortSignal): Promise<unknown> {
  const [a, b] = [await raw.open(new MemoryStorage(contents)), await raw.open(new MemoryStorage(contents))];
  return await compare(a, b, { helper, signal });
}

const jobs: readonly [string, Work][] = [
  ["conversion", convert],
  ["comparison", compareEqual],
];

describe.each(jobs)("a %s that waits for who helps", (_, work) => {
  it("tells them to stop when it is aborted, and ends with the signal's reason", async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const helper = new Busy(() => {
      abort.abort(reason);
    });
    await expect(work(helper, abort.signal)).rejects.toBe(reason);
    expect(helper.wasStopped).toBe(true);
    expect(getEventListeners(abort.signal, "abort")).toEqual([]);
  });

  it("lets them finish otherwise, and leaves nothing behind at the signal", async () => {
    const { signal } = new AbortController();
    let listening = 0;
    const helper = new Busy(() => {
      listening = getEventListeners(signal, "abort").length;
    });
    await work(helper, signal);
    expect(helper.wasStopped).toBe(false);
    expect(listening).toBe(1);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});
