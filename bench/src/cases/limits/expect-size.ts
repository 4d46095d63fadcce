import { statSync } from "node:fs";

/** @throws Error when a file isn't as large as it should be */
export function expectSize(path: string, expected: number): void {
  const { size } = statSync(path);
  if (size !== expected) {
    throw new Error(`${path}: ${String(size)} bytes, expected ${String(expected)}`);
  }
}
