import { decimal } from "../output/decimal.ts";
import { ioSize } from "./io-size.ts";

/** A finished request, as its report tells it. */
export interface IoReport {
  /** `"wrote"`, `"read"`, `"discard"`. */
  readonly what: string;
  readonly offset: number;
  /** Bytes asked for. */
  readonly count: number;
  readonly seconds: number;
  /** One line of numbers with commas, for programs. */
  readonly machine: boolean;
}

/** What qemu-io prints when a request is done. */
export function ioReport({ what, offset, count, seconds, machine }: IoReport): string {
  // a clock that didn't move says nothing about the rate
  const rate = count / Math.max(seconds, 1e-9);
  const operations = 1 / Math.max(seconds, 1e-9);
  if (machine) {
    return `${String(count)},1,${machineTime(seconds)},${decimal(rate, 3)},${decimal(operations, 3)}\n`;
  }
  return (
    `${what} ${String(count)}/${String(count)} bytes at offset ${String(offset)}\n` +
    `${ioSize(count)}, 1 ops; ${humanTime(seconds)} (${ioSize(rate)}/sec and ${decimal(operations, 4)} ops/sec)\n`
  );
}

function humanTime(seconds: number): string {
  const { hours, minutes, rest } = parts(seconds);
  return hours === 0 && minutes === 0 ? `${rest} sec` : `${two(hours)}:${two(minutes)}:${rest}`;
}

function machineTime(seconds: number): string {
  const { hours, minutes, rest } = parts(seconds);
  return `${String(hours)}:${two(minutes)}:${rest}`;
}

function parts(seconds: number): { readonly hours: number; readonly minutes: number; readonly rest: string } {
  const hundredths = Math.floor(seconds * 100);
  return {
    hours: Math.floor(hundredths / 360_000),
    minutes: Math.floor(hundredths / 6000) % 60,
    rest: `${two(Math.floor(hundredths / 100) % 60)}.${two(hundredths % 100)}`,
  };
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
