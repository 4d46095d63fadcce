import type { CreateOptionValues } from "../values/create-options.ts";

/** In qemu-img's order. */
const order: Readonly<Record<string, readonly string[]>> = {
  qcow2: [
    "cluster_size",
    "extended_l2",
    "preallocation",
    "compression_type",
    "size",
    "compat",
    "backing_file",
    "backing_fmt",
    "data_file",
    "data_file_raw",
    "lazy_refcounts",
    "refcount_bits",
    "nocow",
    "extent_size_hint",
  ],
  raw: ["size", "nocow", "preallocation", "extent_size_hint"],
};

/** Told even when they weren't asked for. */
const defaults: Readonly<Record<string, CreateOptionValues>> = {
  qcow2: new Map<string, string | number | boolean>([
    ["cluster_size", 65536],
    ["extended_l2", false],
    ["compression_type", "zlib"],
    ["lazy_refcounts", false],
    ["refcount_bits", 16],
  ]),
  raw: new Map(),
};

/** What `create` says that it is going to do: `Formatting 'a.qcow2', fmt=qcow2 cluster_size=65536 …`. */
export function formattingLine(name: string, format: string, values: CreateOptionValues): string {
  const told = (order[format] ?? ["size", "preallocation"]).flatMap((key) => {
    const value = values.get(key) ?? defaults[format]?.get(key);
    return value === undefined ? [] : [` ${key}=${text(value)}`];
  });
  return `Formatting '${name}', fmt=${format}${told.join("")}\n`;
}

function text(value: string | number | boolean): string {
  if (typeof value === "boolean") {
    return value ? "on" : "off";
  }
  return String(value).replaceAll(",", ",,");
}
