import type { QemuInfo, QemuSnapshot } from "@img/operations";
import type { JsonValue } from "@img/format-core";
import { humanSize } from "./human-size.ts";
import { printable } from "./printable.ts";
import { snapshotList } from "./snapshot-list.ts";

/** What `info` prints for people, line by line as qemu-img does. */
export function infoText(info: QemuInfo): string {
  const size = info["virtual-size"];
  const actual = info["actual-size"];
  const lines = [
    `image: ${printable(info.filename)}`,
    `file format: ${info.format}`,
    `virtual size: ${humanSize(size)} (${String(size)} bytes)`,
    `disk size: ${actual === undefined ? "unavailable" : humanSize(actual)}`,
  ];
  if (info.encrypted === true) {
    lines.push("encrypted: yes");
  }
  if (info["cluster-size"] !== undefined) {
    lines.push(`cluster_size: ${String(info["cluster-size"])}`);
  }
  if (info["dirty-flag"]) {
    lines.push("cleanly shut down: no");
  }
  lines.push(...backingLines(info), ...snapshotLines(info.snapshots), ...specificLines(info));
  return `${lines.join("\n")}\n`;
}

function backingLines(info: QemuInfo): string[] {
  const name = info["backing-filename"];
  if (name === undefined) {
    return [];
  }
  const full = info["full-backing-filename"];
  const remark =
    full === undefined ? " (cannot determine actual path)" : full === name ? "" : ` (actual path: ${printable(full)})`;
  const format = info["backing-filename-format"];
  return [
    `backing file: ${printable(name)}${remark}`,
    ...(format === undefined ? [] : [`backing file format: ${printable(format)}`]),
  ];
}

function snapshotLines(snapshots: readonly QemuSnapshot[] | undefined): string[] {
  return snapshots === undefined ? [] : ["Snapshot list:", ...snapshotList(snapshots)];
}

/** What is told about the format, for people. */
export function specificLines(info: QemuInfo): string[] {
  const specific = info["format-specific"];
  return specific === undefined ? [] : ["Format specific information:", ...members(specific.data, "    ")];
}

function members(value: Readonly<Record<string, JsonValue>>, indent: string): string[] {
  return Object.entries(value).flatMap(([key, each]) => entry(`${indent}${key.replaceAll("-", " ")}:`, each, indent));
}

function entry(head: string, value: JsonValue, indent: string): string[] {
  const inner = `${indent}    `;
  if (Array.isArray(value)) {
    const items = value as readonly JsonValue[];
    return [head, ...items.flatMap((each, index) => entry(`${inner}[${String(index)}]:`, each, inner))];
  }
  if (typeof value === "object" && value !== null) {
    return [head, ...members(value as Readonly<Record<string, JsonValue>>, inner)];
  }
  return [`${head} ${typeof value === "string" ? printable(value) : String(value)}`];
}
