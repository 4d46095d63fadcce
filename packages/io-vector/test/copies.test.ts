import { expect, test, vi } from "vitest";
import { IoVector } from "../src/index.ts";

// A bundled program and its plug-ins have a copy of the package each.
test("vectors of two copies of the package work together", async () => {
  vi.resetModules();
  const other = (await import("../src/index.ts")).IoVector;
  expect(other).not.toBe(IoVector);
  const foreign = other.of(Uint8Array.of(1, 2), Uint8Array.of(3));
  expect(foreign).toBeInstanceOf(IoVector);
  expect(IoVector.from(foreign)).toBe(foreign);
  const own = IoVector.of(new Uint8Array(1), new Uint8Array(2));
  own.copyFrom(foreign);
  expect([...own.toUint8Array()]).toEqual([1, 2, 3]);
  foreign.fill(7);
  foreign.copyTo(own);
  expect([...own.toUint8Array()]).toEqual([7, 7, 7]);
  own.append(foreign);
  expect(own.length).toBe(6);
  expect(() => own.copyFrom({ length: 6, buffers: [] } as unknown as IoVector)).toThrow(TypeError);
});
