import type { JsonValue } from "@img/format-core";
import type { ImageInfo } from "@img/operations";
import { create } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";

/** Shows what an image's headers say. */
export function showInfo(list: HTMLElement, info: ImageInfo, fileSize: number): void {
  const specific = Object.entries(info.specific?.data ?? {});
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["Format", info.format],
    ["Disk", bytes(info.virtualSize)],
    ["File", bytes(fileSize)],
    ["Clusters", info.clusterSize === undefined ? undefined : formatBytes(info.clusterSize)],
    ["Backing image", info.backing?.name],
    ["Snapshots", info.snapshots?.map(({ name }) => name).join(", ")],
    ...specific.map(([name, value]) => [sentence(name), plain(value)] as const),
  ];
  list.replaceChildren(
    ...rows.flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [create("div", {}, create("dt", {}, name), create("dd", {}, value))],
    ),
  );
}

function bytes(count: number): string {
  return count < 1024 ? formatBytes(count) : `${formatBytes(count)} · ${count.toLocaleString("en")} bytes`;
}

function sentence(name: string): string {
  const words = name.replaceAll("-", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function plain(value: JsonValue): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
