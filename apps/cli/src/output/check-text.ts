import type { CheckResult, RepairPlan } from "@img/qcow2";
import { decimal } from "./decimal.ts";

/** What `check` says to people about what it found. */
export function checkText(result: CheckResult): string {
  return [...problems(result), ...statistics(result)].join("");
}

/** What `check -r` says to people about what it repaired, and about what is left. */
export function repairText({ corruptionsFixed, leaksFixed, after }: RepairPlan): string {
  if (corruptionsFixed + leaksFixed === 0) {
    return checkText(after);
  }
  const fixed = [
    "The following inconsistencies were found and repaired:\n\n",
    `    ${String(leaksFixed)} leaked clusters\n`,
    `    ${String(corruptionsFixed)} corruptions\n\n`,
    "Double checking the fixed image now...\n",
  ];
  return fixed.join("") + checkText(after);
}

/** What `check -r --dry-run` says to people about what it would do. */
export function planText({ steps, stepCount, after }: RepairPlan): string {
  if (stepCount === 0) {
    return "\nNothing would be repaired.\n";
  }
  const more = stepCount > steps.length ? [`  … and ${String(stepCount - steps.length)} more\n`] : [];
  const left = `Afterwards, ${String(after.corruptions)} errors and ${String(after.leaks)} leaked clusters would be left.\n`;
  return ["\nA repair would:\n", ...steps.map(({ message }) => `  ${message}\n`), ...more, left].join("");
}

function problems({ corruptions, leaks, checkErrors }: CheckResult): string[] {
  if (corruptions === 0 && leaks === 0 && checkErrors === 0) {
    return ["No errors were found on the image.\n"];
  }
  return [
    ...(corruptions === 0
      ? []
      : [
          `\n${String(corruptions)} errors were found on the image.\n`,
          "Data may be corrupted, or further writes to the image may corrupt it.\n",
        ]),
    ...(leaks === 0
      ? []
      : [
          `\n${String(leaks)} leaked clusters were found on the image.\n`,
          "This means waste of disk space, but no harm to data.\n",
        ]),
    ...(checkErrors === 0 ? [] : [`\n${String(checkErrors)} internal errors have occurred during the check.\n`]),
  ];
}

function statistics(result: CheckResult): string[] {
  const { totalClusters, allocatedClusters, fragmentedClusters, compressedClusters, imageEndOffset } = result;
  const percent = (part: number, whole: number): string => `${decimal((part * 100) / whole, 2)}%`;
  return [
    ...(totalClusters === 0 || allocatedClusters === 0
      ? []
      : [
          `${String(allocatedClusters)}/${String(totalClusters)} = ${percent(allocatedClusters, totalClusters)} allocated, `,
          `${percent(fragmentedClusters, allocatedClusters)} fragmented, `,
          `${percent(compressedClusters, allocatedClusters)} compressed clusters\n`,
        ]),
    ...(imageEndOffset === 0 ? [] : [`Image end offset: ${String(imageEndOffset)}\n`]),
  ];
}
