import type { CheckResult } from "@img/qcow2";

/** What `check` says to people about what it found. */
export function checkText(result: CheckResult): string {
  return [...problems(result), ...statistics(result)].join("");
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
  const percent = (part: number, whole: number): string => `${((part * 100) / whole).toFixed(2)}%`;
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
