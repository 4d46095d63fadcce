import type { QemuSnapshot } from "@img/operations";
import { humanSize } from "./human-size.ts";
import { printable } from "./printable.ts";

/** The table of an image's snapshots, as qemu-img 7.2 lays it out: a heading, and a line for each. Times are local. */
export function snapshotList(snapshots: readonly QemuSnapshot[]): string[] {
  const heading = row("ID".padEnd(10), "TAG".padEnd(17), "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
  return [heading, ...snapshots.map(snapshotRow)];
}

function snapshotRow(snapshot: QemuSnapshot): string {
  return row(
    `${printable(snapshot.id).padEnd(9)} `,
    `${printable(snapshot.name).padEnd(16)} `,
    humanSize(snapshot["vm-state-size"]),
    localTime(snapshot["date-sec"]),
    duration(snapshot["vm-clock-sec"], snapshot["vm-clock-nsec"]),
    snapshot.icount === undefined ? "" : String(snapshot.icount),
  );
}

function row(id: string, name: string, size: string, date: string, clock: string, icount: string): string {
  return id + name + size.padStart(8) + date.padStart(20) + clock.padStart(13) + icount.padStart(11);
}

function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

function duration(seconds: number, nanoseconds: number): string {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two);
  return `${parts.join(":")}.${String(Math.floor(nanoseconds / 1e6)).padStart(3, "0")}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
