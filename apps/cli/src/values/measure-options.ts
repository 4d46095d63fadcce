import type { MeasureOptions } from "@img/operations";
import { CommandError } from "../errors/command-error.ts";
import type { CreateOptionValues } from "./create-options.ts";
import { qcow2Options } from "./qcow2-options.ts";

/**
 * What the options for creating a qcow2 image mean for its size.
 * @throws CommandError in qemu-img's words, and for encryption
 */
export function measureOptions(values: CreateOptionValues): MeasureOptions {
  const { clusterSize, refcountBits, compat, extendedL2, preallocation } = qcow2Options(values, "measure");
  if (values.has("encrypt.format")) {
    throw new CommandError("encrypted images can't be measured yet [ERR_IMG_UNSUPPORTED]");
  }
  return {
    clusterSize,
    refcountBits,
    compat,
    // an old version has none, but qemu-img measures as if it had
    extendedL2: extendedL2 && compat === "1.1",
    preallocation,
    hasBacking: values.has("backing_file"),
  };
}
