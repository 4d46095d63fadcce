/**
 * What C's `%.Nf` prints: as `toFixed`, but a number that lies exactly between two becomes the one whose last digit is even.
 *
 * @param value - from 0 to below 2^53 / 10^`digits`
 * @param digits - behind the point
 */
export function decimal(value: number, digits: number): string {
  const units = value * 10 ** digits;
  const below = Math.floor(units);
  // a binary number lies between two of so many decimals only where it has one binary digit more than that; then the product is exact
  const isBetween = units - below === 0.5 && Number.isInteger(value * 2 ** (digits + 1));
  return isBetween && below % 2 === 0 ? (below / 10 ** digits).toFixed(digits) : value.toFixed(digits);
}
