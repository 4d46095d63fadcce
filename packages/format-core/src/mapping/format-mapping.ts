import { hex } from "../numbers/offsets.ts";
import type { Mapping, ShallowMapping } from "./mapping.ts";

/**
 * A mapping for people: `<storage>:0x<offset>/rw|ro`, `<zero:explicit|unallocated>`, `<special:<layer>:0x<offset>>`,
 * `<indirect:<layer>:0x<offset>/rw|ro>`, `<eof>`.
 */
export function formatMapping(mapping: Mapping | ShallowMapping): string {
  switch (mapping.kind) {
    case "raw":
      return `${mapping.storage.label}:${hex(mapping.offset)}/${mapping.writable ? "rw" : "ro"}`;
    case "indirect":
      return `<indirect:${String(mapping.layer)}:${hex(mapping.offset)}/${mapping.writable ? "rw" : "ro"}>`;
    case "zero":
      return `<zero:${mapping.explicit ? "explicit" : "unallocated"}>`;
    case "special":
      return "layer" in mapping
        ? `<special:${String(mapping.layer)}:${hex(mapping.offset)}>`
        : `<special:${hex(mapping.offset)}>`;
    case "eof":
      return "<eof>";
  }
}
