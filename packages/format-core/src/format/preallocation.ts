/**
 * How a format makes the guest range that an image gains when it grows or is created:
 * `none` nothing is allocated (a longer backing image may show through) · `zero` it reads as zero · `metadata` every block is mapped ·
 * `falloc` and its space is reserved on the host · `full` and it is written with zeroes.
 */
export type Preallocation = "none" | "zero" | "metadata" | "falloc" | "full";

const preallocations: readonly Preallocation[] = ["none", "zero", "metadata", "falloc", "full"];

/** @throws RangeError for what isn't a {@link Preallocation}, which nobody may take for `"none"` */
export function checkPreallocation(preallocation: Preallocation): void {
  if (!preallocations.includes(preallocation)) {
    throw new RangeError(`preallocation ${preallocation}: expected ${preallocations.join(", ")}`);
  }
}
