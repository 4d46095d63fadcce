import { describe, expect, it } from "vitest";
import { progressText } from "../src/output/progress-bar.ts";

const MiB = 1024 * 1024;
const plain = (_code: number, text: string): string => text;

describe("the progress of a command", () => {
  it("has percentage, bar, bytes, rate and time to go", () => {
    expect(progressText({ done: 256 * MiB, total: 1024 * MiB }, 8, 80, plain)).toBe(
      " 25% ━━━━━━────────────────── 256 MiB of 1 GiB  32 MiB/s  0:24 left",
    );
  });

  it("counts hours", () => {
    expect(progressText({ done: MiB, total: 4001 * MiB }, 1, 80, plain)).toMatch(/ {2}1:06:40 left$/);
  });

  it("doesn't guess how long it takes before anything is done", () => {
    expect(progressText({ done: 0, total: MiB }, 1, 80, plain)).toBe(`  0% ${"─".repeat(24)} 0 B of 1 MiB  0 B/s`);
  });

  it("is complete when there is nothing to do", () => {
    expect(progressText({ done: 0, total: 0 }, 1, 80, plain)).toBe(`100% ${"━".repeat(24)} 0 B of 0 B  0 B/s`);
  });

  it.each([70, 60, 50, 40, 30, 20, 10])("fits into %i columns", (columns) => {
    const text = progressText({ done: 256 * MiB, total: 1024 * MiB }, 8, columns, plain);
    expect(text.length).toBeLessThan(columns);
    expect(text).toContain("25%");
  });

  it("gives up the bar before the time to go", () => {
    expect(progressText({ done: 256 * MiB, total: 1024 * MiB }, 8, 46, plain)).toBe(
      " 25% 256 MiB of 1 GiB  32 MiB/s  0:24 left",
    );
    expect(progressText({ done: 256 * MiB, total: 1024 * MiB }, 8, 34, plain)).toBe(" 25% 256 MiB of 1 GiB  32 MiB/s");
  });
});
