const typedArrayTag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);

/**
 * Whether `value` is a `Uint8Array` (a `Buffer` is one), also when it comes from another realm, where `instanceof` fails.
 */
export function isUint8Array(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || typedArrayTag?.get?.call(value) === "Uint8Array";
}

/**
 * Refuses what is not a `Uint8Array`.
 *
 * @throws TypeError naming the argument and what was found
 */
export function checkUint8Array(name: string, value: unknown): asserts value is Uint8Array {
  if (!isUint8Array(value)) throw new TypeError(`${name}: expected a Uint8Array, found ${describe(value)}`);
}

/**
 * Refuses what is not an integer from `least` to `most`, both included.
 *
 * @throws TypeError if it is not a number
 * @throws RangeError if it is a number outside the range, or not an integer
 */
export function checkInteger(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== "number") throw new TypeError(`${name}: expected a number, found ${describe(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name}: expected an integer from ${hex(least)} to ${hex(most)}, found ${hex(value)}`);
  }
}

/**
 * Refuses a half-open range that does not lie within `length` bytes.
 *
 * @throws TypeError if a bound is not a number
 * @throws RangeError unless `0 ≤ start ≤ end ≤ length`, all of them integers
 */
export function checkRange(start: unknown, end: unknown, length: number): void {
  checkInteger("end", end, 0, length);
  checkInteger("start", start, 0, end as number);
}

/**
 * Refuses a length other than the one that is needed.
 *
 * @throws RangeError naming the argument and both lengths
 */
export function checkSameLength(name: string, found: number, expected: number): void {
  if (found !== expected) throw new RangeError(`${name}: expected ${hex(expected)} bytes, found ${hex(found)}`);
}

/** What an error message calls a value of the wrong type. */
export function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** A number as error messages print it: hexadecimal if it is an integer. */
export function hex(value: number): string {
  if (!Number.isInteger(value)) return String(value);
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}
