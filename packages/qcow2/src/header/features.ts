/** Bits that a reader has to know to read the image right. */
export const incompatible = {
  dirty: 0,
  corrupt: 1,
  dataFile: 2,
  compressionType: 3,
  extendedL2: 4,
} as const;

/** Bits that may be ignored. */
export const compatible = { lazyRefcounts: 0 } as const;

/** Bits that a writer clears unless it maintains what they stand for. */
export const autoclear = { bitmaps: 0, rawDataFile: 1 } as const;

/** The three kinds of feature bits, in the order of the feature name table's type numbers. */
export const featureKinds = ["incompatible", "compatible", "autoclear"] as const;

/** One of {@link featureKinds}. */
export type FeatureKind = (typeof featureKinds)[number];

/** 64 feature bits as two unsigned halves. */
export interface FeatureBits {
  readonly high: number;
  readonly low: number;
}

/** No bit set. */
export const noFeatures: FeatureBits = { high: 0, low: 0 };

/** Whether bit `bit` (0 … 63) is set. */
export function hasFeature(bits: FeatureBits, bit: number): boolean {
  const half = bit < 32 ? bits.low : bits.high;
  return ((half >>> (bit % 32)) & 1) === 1;
}

/** Numbers of all bits that are set, ascending. */
export function featureNumbers(bits: FeatureBits): readonly number[] {
  return Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasFeature(bits, bit));
}
