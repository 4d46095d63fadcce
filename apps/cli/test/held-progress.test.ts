import type { Progress } from "@img/operations";
import { describe, expect, it } from "vitest";
import { HeldProgress } from "../src/output/held-progress.ts";
import { percentText } from "../src/output/percent-text.ts";
import { QemuProgress } from "../src/output/qemu-progress.ts";

function shown(...told: readonly Progress[]): { readonly line: HeldProgress; readonly text: () => string } {
  let text = "";
  const line = new HeldProgress(new QemuProgress((more) => (text += more)));
  for (const progress of told) {
    line.show(progress);
  }
  return { line, text: () => text };
}

describe("the progress of a command", () => {
  const [half, all] = [
    { done: 1, total: 2 },
    { done: 2, total: 2 },
  ];

  it("is complete when the command is", () => {
    const { line, text } = shown(half, all);
    expect(text()).toBe("    (0.00/100%)\r    (50.00/100%)\r");
    line.complete();
    line.end();
    expect(text()).toBe("    (0.00/100%)\r    (50.00/100%)\r    (100.00/100%)\r\n");
  });

  it("isn't complete when what comes last fails", () => {
    const { line, text } = shown(half, all);
    line.clear();
    line.end();
    expect(text()).toBe("    (0.00/100%)\r    (50.00/100%)\r\n");
  });

  it("isn't complete when only the first of several steps is, and doesn't go back", () => {
    const { line, text } = shown(half, all, { done: 1, total: 4 }, { done: 3, total: 4 });
    expect(text()).toBe("    (0.00/100%)\r    (50.00/100%)\r    (75.00/100%)\r");
    line.complete();
    expect(text()).toMatch(/\(100\.00\/100%\)\r$/);
  });

  it("isn't rounded to complete", () => {
    expect(percentText({ done: 2 ** 30 - 1, total: 2 ** 30 })).toBe("    (99.99/100%)");
    expect(percentText({ done: 2, total: 3 })).toBe("    (66.67/100%)");
    expect(percentText({ done: 0, total: 0 })).toBe("    (100.00/100%)");
  });
});
