import {
  allowAll,
  allowWithin,
  denyAll,
  openerByScheme,
  type FormatRegistry,
  type OpenGate,
  type OpenGateOptions,
} from "@img/format-core";
import { fileOpener } from "@img/storage-fs";
import { fileOptions } from "./file-options.ts";
import type { GateSpec, ImageSpec } from "./image-spec.ts";

/** The gate that `spec` describes, which lets images open others of `formats`, in files and in its storages. */
export function openGate(spec: ImageSpec, formats: FormatRegistry): OpenGate {
  const gate: GateSpec = spec.gate ?? "deny-all";
  if (gate === "deny-all") {
    return denyAll;
  }
  const opener = openerByScheme(spec.storages ?? {}, fileOpener(fileOptions(spec)));
  const options: OpenGateOptions = { opener, formats };
  return gate === "allow-all" ? allowAll(options) : allowWithin(gate.within, options);
}
