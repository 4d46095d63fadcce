import type { Json } from "../output/qemu-json.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../output/printable.ts";
import { qemuJson, qemuJsonLine } from "../output/qemu-json.ts";

/** One line of a section: values by column. */
export type DumpRow = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** A column: which values it shows, and how wide it is for people. Numbers in `hex` columns are offsets, sizes or raw entries. */
interface DumpColumn {
  readonly key: string;
  readonly width: number;
  readonly hex?: boolean;
}

/** A structure of an image, taken apart. */
export interface DumpSection {
  readonly title: string;
  /** What is said once about the whole structure, in JSON only. */
  readonly facts: Readonly<Record<string, Json>>;
  readonly columns: readonly DumpColumn[];
  readonly rows: Iterable<DumpRow>;
}

/** Prints a section as a table. Rows are taken one by one, so it may be long. */
export async function printSection(section: DumpSection, terminal: Terminal): Promise<void> {
  const { title, columns, rows } = section;
  await terminal.print(`${title}\n`);
  await terminal.print(tableLine(columns, (column) => column.key));
  let count = 0;
  for (const row of rows) {
    await terminal.print(tableLine(columns, (column) => cell(row[column.key], column.hex === true)));
    count++;
  }
  if (count === 0) {
    await terminal.print("  (nothing)\n");
  }
}

function tableLine(columns: readonly DumpColumn[], text: (column: DumpColumn) => string): string {
  return `  ${columns.map((column) => text(column).padEnd(column.width)).join(" ")}`.trimEnd() + "\n";
}

function cell(value: DumpRow[string], hex: boolean): string {
  if (value === undefined) {
    return "-";
  }
  if (typeof value === "string") {
    return printable(value);
  }
  return hex && typeof value !== "boolean" ? `0x${value.toString(16)}` : String(value);
}

/** Prints a section as a JSON object whose `entries` stand on a line each. */
export async function printSectionJson(section: DumpSection, terminal: Terminal): Promise<void> {
  const facts = qemuJson(section.facts);
  await terminal.print(`${facts.slice(0, facts.lastIndexOf("\n"))},\n    "entries": [`);
  let before = "\n        ";
  for (const row of section.rows) {
    await terminal.print(before + qemuJsonLine(row));
    before = ",\n        ";
  }
  await terminal.print("\n    ]\n}\n");
}
