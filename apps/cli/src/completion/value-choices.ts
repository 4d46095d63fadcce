import type { OptionDefinition } from "../arguments/option-definition.ts";
import { createOptionsOf } from "../values/create-option-table.ts";

/** What a shell offers where a value is expected: one of these words, names of files, or nothing. */
export type ValueChoices = readonly string[] | "files" | "none";

const formats = ["qcow2", "raw"];
const cacheModes = ["none", "writeback", "writethrough", "directsync", "unsafe"];

/** By what values are called in the help. */
const choices: Readonly<Record<string, ValueChoices>> = {
  fmt: formats,
  output_fmt: formats,
  backing_fmt: formats,
  source_fmt: formats,
  ofmt: ["human", "json"],
  cache: cacheModes,
  src_cache: cacheModes,
  prealloc: ["off", "metadata", "falloc", "full"],
  aio: ["threads", "native", "io_uring"],
  options: createOptionsOf("qcow2")
    .filter(({ name }) => !name.startsWith("encrypt"))
    .map(({ name }) => `${name}=`),
  backing_file: "files",
  source_file: "files",
  base: "files",
  module: "files",
  picture: ["terminal", "svg"],
};

/** Of options whose values are called alike everywhere. */
const choicesOfMode: Readonly<Record<string, ValueChoices>> = {
  aio: ["threads", "native", "io_uring"],
  cache: cacheModes,
  discard: ["ignore", "off", "unmap", "on"],
};

/** What to offer as the value of `option`, which has one. */
export function valueChoices({ value = "", long = "" }: OptionDefinition): ValueChoices {
  if (value.includes("|")) {
    return value.split("|").map((word) => word.trim());
  }
  return choices[value] ?? (value === "mode" ? choicesOfMode[long] : undefined) ?? "none";
}

/** The words that a verb's operands are one of, as its table names them; otherwise they are names of files. */
export function operandChoices(operands: string, verbs: readonly string[]): ValueChoices {
  if (operands === "[command]") {
    return verbs;
  }
  return /^[a-z]+(?:\|[a-z]+)+$/.test(operands) ? operands.split("|") : "files";
}
