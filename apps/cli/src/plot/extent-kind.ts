import type { MapEntry } from "@img/operations";

/** What a part of a disk is, in a picture. `below`: data of an image below; `zero`: somebody says that it reads as zero; `nothing`: no image has it. */
export type ExtentKind = "data" | "compressed" | "below" | "zero" | "nothing";

/** All kinds; what comes first is shown where several share a place equally. */
export const extentKinds: readonly ExtentKind[] = ["data", "compressed", "below", "zero", "nothing"];

/** What each kind is called in a legend. */
export const kindNames: Readonly<Record<ExtentKind, string>> = {
  data: "data",
  compressed: "compressed",
  below: "in an image below",
  zero: "zeroes",
  nothing: "nothing",
};

/** What a run of a disk is. */
export function kindOf({ data, zero, compressed, depth, present }: MapEntry): ExtentKind {
  if (data && !zero) {
    if (depth > 0) {
      return "below";
    }
    return compressed ? "compressed" : "data";
  }
  return present ? "zero" : "nothing";
}
