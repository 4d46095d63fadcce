import { FormatRegistry } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";

/** The formats that this family brings: qcow2 and raw. */
export function defaultFormats(): FormatRegistry {
  return new FormatRegistry([qcow2, raw]);
}
