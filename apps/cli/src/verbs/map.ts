import { map, mapBatches, type MapRange } from "@img/operations";
import type { FormatAccess } from "@img/format-core";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { fileNames } from "../images/file-names.ts";
import { imageSpec, openNamed } from "../images/open-named.ts";
import { mapHeading, mapJson, mapLine } from "../output/map-text.ts";
import { plotKind, printPlot } from "../plot/print-plot.ts";
import type { Terminal } from "../terminal.ts";
import { oneOperand } from "../values/operand.ts";
import { outputFormat } from "../values/output-format.ts";
import { requireSize } from "../values/parse-size.ts";
import type { VerbContext } from "./verb.ts";

/** `img map`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const range = mapRange(args);
  const output = outputFormat(args);
  const plot = args.value("plot");
  const picture = plot === undefined ? undefined : plotKind(plot);
  const named = imageSpec(oneOperand(args), args, args.value("format"));
  const image = await openNamed(named, signal);
  try {
    if (picture !== undefined) {
      await printPlot(image, picture, range, named.filename, terminal, signal);
    } else if (output === "json") {
      await printJson(image, range, terminal, signal);
    } else {
      await printTable(image, range, named.filename, terminal, signal);
    }
  } finally {
    await image.close();
  }
  return 0;
}

function mapRange(args: ParsedArguments): MapRange {
  const offset = args.value("start-offset");
  const length = args.value("max-length");
  return {
    ...(offset === undefined ? {} : { offset: requireSize(offset, "start offset") }),
    ...(length === undefined ? {} : { length: requireSize(length, "max length") }),
  };
}

/** One entry a line, as qemu-img does; nothing to tell is an entry without length there. */
async function printJson(image: FormatAccess, range: MapRange, terminal: Terminal, signal: AbortSignal): Promise<void> {
  let before = "[";
  for await (const entries of mapBatches(image, { ...range, signal })) {
    if (entries.length > 0) {
      await terminal.print(before + entries.map(mapJson).join(",\n"));
      before = ",\n";
    }
  }
  if (before === "[") {
    const start = range.offset ?? 0;
    const nothing = { start, length: 0, depth: 0, present: false, zero: false, data: false, compressed: false };
    await terminal.print(`[${mapJson(nothing)}`);
  }
  await terminal.print("]\n");
}

async function printTable(
  image: FormatAccess,
  range: MapRange,
  filename: string,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const names = fileNames(image, filename);
  await terminal.print(mapHeading);
  for await (const entry of map(image, { ...range, signal })) {
    if (entry.data && entry.offset === undefined) {
      throw new CommandError("File contains external, encrypted or compressed clusters.", {
        hint: "--output=json lists them all",
      });
    }
    const name = entry.storage === undefined ? "" : (names.get(entry.storage) ?? entry.storage.location ?? "");
    await terminal.print(mapLine(entry, name) ?? "");
  }
}
