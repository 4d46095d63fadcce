/** Stands in for `node:assert/strict`, as far as the suites use it. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";

  constructor({ message }: { readonly message?: string }) {
    super(message);
  }
}

function check(condition: boolean, message: string | undefined, otherwise: () => string): void {
  if (!condition) throw new AssertionError({ message: message ?? otherwise() });
}

function isDeepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [inA, inB] = [Object.entries(a), Object.entries(b)];
  return (
    Object.getPrototypeOf(a) === Object.getPrototypeOf(b) &&
    inA.length === inB.length &&
    inA.every(([name, value]) => name in b && isDeepEqual(value, (b as Readonly<Record<string, unknown>>)[name]))
  );
}

const assert = {
  AssertionError,
  ok: (value: unknown, message?: string): void => check(Boolean(value), message, () => `${String(value)} isn't true`),
  equal: (a: unknown, b: unknown, message?: string): void =>
    check(Object.is(a, b), message, () => `${String(a)}, expected ${String(b)}`),
  notEqual: (a: unknown, b: unknown, message?: string): void =>
    check(!Object.is(a, b), message, () => `${String(a)}, expected anything else`),
  deepEqual: (a: unknown, b: unknown, message?: string): void =>
    check(isDeepEqual(a, b), message, () => `${JSON.stringify(a)}, expected ${JSON.stringify(b)}`),
  match: (text: string, pattern: RegExp, message?: string): void =>
    check(pattern.test(text), message, () => `${JSON.stringify(text)} doesn't match ${String(pattern)}`),
  doesNotThrow: (body: () => void): void => {
    body();
  },
  fail: (message: string): never => {
    throw new AssertionError({ message });
  },
};

export default assert;
