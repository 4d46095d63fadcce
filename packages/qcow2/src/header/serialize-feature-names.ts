import type { FeatureName } from "./extensions.ts";
import { autoclear, compatible, featureKinds, incompatible } from "./features.ts";

const entryLength = 48;
const nameLength = 46;

/** The names that new images give to the feature bits, in the order and wording in which QEMU records them. */
export const standardFeatureNames: readonly FeatureName[] = [
  { kind: "incompatible", bit: incompatible.dirty, name: "dirty bit" },
  { kind: "incompatible", bit: incompatible.corrupt, name: "corrupt bit" },
  { kind: "incompatible", bit: incompatible.dataFile, name: "external data file" },
  { kind: "incompatible", bit: incompatible.compressionType, name: "compression type" },
  { kind: "incompatible", bit: incompatible.extendedL2, name: "extended L2 entries" },
  { kind: "compatible", bit: compatible.lazyRefcounts, name: "lazy refcounts" },
  { kind: "autoclear", bit: autoclear.bitmaps, name: "bitmaps" },
  { kind: "autoclear", bit: autoclear.rawDataFile, name: "raw external data" },
];

/**
 * The data of a feature name table.
 * @throws RangeError for a name of more than 46 bytes
 */
export function serializeFeatureNames(features: readonly FeatureName[]): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(features.length * entryLength);
  for (const [index, { kind, bit, name }] of features.entries()) {
    const text = new TextEncoder().encode(name);
    if (text.length > nameLength) {
      throw new RangeError(`feature name of ${String(text.length)} bytes: expected at most ${String(nameLength)}`);
    }
    data[index * entryLength] = featureKinds.indexOf(kind);
    data[index * entryLength + 1] = bit;
    data.set(text, index * entryLength + 2);
  }
  return data;
}
