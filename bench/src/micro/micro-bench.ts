import { markdownTable } from "../report/markdown-table.ts";
import { duration } from "../report/table.ts";
import { spreadOf, type Spread } from "../run/spread.ts";
import { imageMicros } from "./image-micros.ts";
import { storageMicros } from "./storage-micros.ts";
import type { Micro } from "./micro.ts";

/** How long it is measured. */
interface MicroTimes {
  /** Batches; the figures are of their averages. */
  readonly batches: number;
  /** Seconds of each batch, about. */
  readonly seconds: number;
}

const usual: MicroTimes = { batches: 11, seconds: 0.03 };

/**
 * Measures parts of all packages by themselves.
 * @param only - only those with one of these in their name or that of their package; none: all
 * @returns a table in Markdown
 */
export async function microBench(only: readonly string[], times: MicroTimes = usual): Promise<string> {
  const rows: string[][] = [["package", "what", "each", "from–to", "MB/s"]];
  for (const make of [storageMicros, imageMicros]) {
    const { cases, close } = await make();
    for (const each of cases) {
      if (only.length === 0 || only.some((part) => each.name.includes(part) || each.package.includes(part))) {
        rows.push(row(each, await measureMicro(each, times)));
      }
    }
    await close?.();
  }
  return markdownTable(rows);
}

/** Seconds of one repetition. The first batches, of growing length, warm up. */
export async function measureMicro({ run }: Micro, { batches, seconds }: MicroTimes): Promise<Spread> {
  const batch = async (count: number): Promise<number> => {
    const began = performance.now();
    await run(count);
    return (performance.now() - began) / 1000;
  };
  let count = 1;
  for (let took = await batch(count); took < seconds; took = await batch(count)) {
    count = Math.ceil(count * Math.min(10, Math.max(1.5, seconds / Math.max(took, 1e-6))));
  }
  const each: number[] = [];
  for (let index = 0; index < batches; index++) {
    each.push((await batch(count)) / count);
  }
  return spreadOf(each) ?? { median: NaN, min: NaN, max: NaN };
}

function row({ package: name, name: what, bytes }: Micro, { median, min, max }: Spread): string[] {
  const rate = bytes === undefined ? "" : (bytes / median / 1e6).toFixed(0);
  return [name, what, duration(median), `${duration(min)}–${duration(max)}`, rate];
}
