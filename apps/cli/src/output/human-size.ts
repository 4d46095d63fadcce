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

/** What C's `%.3g` prints for a number from 0 to below 1000. */
function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded >= 1000 ? "1e+03" : String(rounded);
}
