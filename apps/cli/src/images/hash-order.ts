import type { Json } from "../output/qemu-json.ts";

/** The same object with its keys in the order in which QEMU prints them: that of its dictionaries' hash buckets. */
export function hashOrdered(object: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => bucket(a) - bucket(b)));
}

function bucket(key: string): number {
  let value = Math.imul(0x238f13af, key.length);
  for (let at = 0; at < key.length; at++) {
    value = (value + (key.charCodeAt(at) << ((at * 5) % 24))) | 0;
  }
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % 512;
}
