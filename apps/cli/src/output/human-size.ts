const prefixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/**
 * A number of bytes as qemu-img prints it: three significant digits and a unit, the next one from 1000 on (`0.977 KiB`).
 */
export function humanSize(bytes: number): string {
  let power = 0;
  while (power + 1 < prefixes.length && bytes >= 1000 * 1024 ** power) {
    power++;
  }
  return `${threeDigits(bytes / 1024 ** power)} ${prefixes[power] ?? ""}B`;
}

/** What C's `%.3g` prints for a number that is 0, or from 0.9 to below 1000: as written, a tie is rounded to the even digit. */
function threeDigits(value: number): string {
  const scale = value < 1 ? 1000 : value < 10 ? 100 : value < 100 ? 10 : 1;
  const rounded = roundToEven(value * scale) / scale;
  return rounded >= 1000 ? "1e+03" : String(rounded);
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}
