import type { Preallocation } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";

/**
 * What `-o preallocation=` asks for.
 * @param format - that of the image: raw images have no metadata
 * @param verb - some verbs word their refusals differently
 * @throws CommandError in qemu-img's words
 */
export function parsePreallocation(
  value: string | number | boolean | undefined,
  format: string,
  verb: "measure" | "create",
): Preallocation {
  switch (value) {
    case undefined:
    case "off":
      return "none";
    case "metadata":
      if (format === "raw") {
        throw new CommandError("Unsupported preallocation mode 'metadata'");
      }
      return value;
    case "falloc":
    case "full":
      return value;
    default:
      throw new CommandError(
        format === "raw" || verb === "measure"
          ? `invalid parameter value: ${String(value)}`
          : `Parameter 'preallocation' does not accept value '${String(value)}'`,
      );
  }
}
