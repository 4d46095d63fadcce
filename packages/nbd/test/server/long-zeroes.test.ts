import { anyLimits, FormatAccess, guestOffset, type FormatDriver, type HandledRange, type Io } from "@img/format-core";
import { expect, test } from "vitest";
import { formatExport } from "../../src/server/format-export.ts";

const block = 65536;
const mib = 1024 * 1024;
const size = 1024 * mib;

/** An image of data that is zeroed by metadata alone from `able` on; what was zeroed is put on a list. */
function imageOf(able: number, zeroed: [number, number][]): FormatAccess {
  const handle = function* (offset: number, length: number): Io<HandledRange> {
    if (offset < able) {
      return { offset: guestOffset(offset), length: 0 };
    }
    zeroed.push([offset, length]);
    return { offset: guestOffset(offset), length };
  };
  const driver = {
    format: "test",
    size,
    writable: true,
    storages: [],
    zeroGranularity: block,
    limits: anyLimits,
    *getMapping(offset: number, length: number) {
      return { kind: "special", offset, length };
    },
    discardToZero: handle,
    ensureZeroMapping: handle,
    *flush() {},
    *sync() {},
    *close() {},
  };
  return new FormatAccess(driver as unknown as FormatDriver);
}

test("a long range is zeroed fast in pieces", async () => {
  const zeroed: [number, number][] = [];
  const { writeZeroes } = formatExport(imageOf(0, zeroed));
  await writeZeroes?.(block, 200 * mib, { allocate: false, fast: true });
  expect(zeroed.map(([offset]) => offset)).toEqual([block, 64 * mib, 128 * mib, 192 * mib]);
  expect(zeroed.reduce((sum, [, length]) => sum + length, 0)).toBe(200 * mib);
});

test.each([
  ["the end isn't whole", 0, block, 200 * mib + 1],
  ["the start isn't whole", 0, 512, 200 * mib],
  ["the format can't", size, 0, 200 * mib],
])("a long range isn't zeroed fast, and nothing of it changed, where %s", async (_, able, offset, length) => {
  const zeroed: [number, number][] = [];
  const { writeZeroes } = formatExport(imageOf(able, zeroed));
  const zeroing = (async () => writeZeroes?.(offset, length, { allocate: false, fast: true }))();
  await expect(zeroing).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  expect(zeroed).toEqual([]);
});
