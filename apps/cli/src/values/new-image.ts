import { CommandError } from "../errors/command-error.ts";
import type { CreateRequest } from "./create-request.ts";
import { parsePreallocation } from "./preallocation.ts";
import { qcow2Options } from "./qcow2-options.ts";

const newer = "supported with compatibility level 1.1 and above (use version=v3 or greater)";

/**
 * Options of the format for an image that is to be made, beside its size and what it refers to.
 * @throws CommandError in qemu-img's words for what can't be; and for encryption, which isn't supported
 */
export function newImageOptions({
  format,
  values,
  backing,
}: Pick<CreateRequest, "format" | "values" | "backing">): Readonly<Record<string, unknown>> {
  if (format === "raw") {
    return { preallocation: rawPreallocation(values.get("preallocation")) };
  }
  if (format !== "qcow2") {
    return { preallocation: parsePreallocation(values.get("preallocation"), format, "create") };
  }
  if ([...values].some(([key, value]) => key.startsWith("encrypt") && value !== false)) {
    throw new CommandError("encryption isn't supported [ERR_IMG_UNSUPPORTED]");
  }
  const options = qcow2Options(values, "create");
  const external = values.has("data_file");
  const dataFileRaw = values.get("data_file_raw") === true;
  const conflicts: readonly (readonly [boolean, string])[] = [
    [
      backing !== undefined && options.preallocation !== "none" && !options.extendedL2,
      "Backing file and preallocation can only be used at the same time if extended_l2 is on",
    ],
    [backing === undefined && values.has("backing_fmt"), "Backing format cannot be used without backing file"],
    [dataFileRaw && !external, "data-file-raw requires data-file"],
    [dataFileRaw && backing !== undefined, "Backing file and data-file-raw cannot be used at the same time"],
    [external && options.compat === "0.10", `External data files are only ${newer}`],
  ];
  for (const [conflict, message] of conflicts) {
    if (conflict) {
      throw new CommandError(message);
    }
  }
  return { ...options, dataFileRaw };
}

function rawPreallocation(value: string | number | boolean | undefined): unknown {
  if (value === "metadata") {
    throw new CommandError("Unsupported preallocation mode: metadata");
  }
  return parsePreallocation(value, "raw", "create");
}
