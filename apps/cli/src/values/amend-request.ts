import type { AmendImageOptions } from "@img/operations";
import type { FormatAccess } from "@img/format-core";
import { suggestion } from "../arguments/nearest.ts";
import { CommandError } from "../errors/command-error.ts";
import { amendOptionTable } from "./amend-option-table.ts";
import { createOptionsOf } from "./create-option-table.ts";
import { checkOptionList, parseValue, type CreateOptionValues } from "./create-options.ts";
import { parseKeyValues } from "./key-values.ts";

const levels: Readonly<Record<string, "0.10" | "1.1">> = { "0.10": "0.10", v2: "0.10", "1.1": "1.1", v3: "1.1" };

const sizeHint =
  "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.";

/**
 * What `-o` asks for of an image.
 * @param program - as which hints name us
 * @throws CommandError in qemu-img's words
 */
export function amendRequest(texts: readonly string[], image: FormatAccess, program: string): AmendImageOptions {
  const values = parse(texts);
  const compat = compatOf(values);
  if ([...values.keys()].some((name) => name.startsWith("encrypt."))) {
    throw new CommandError("Can't amend encryption options - encryption not present");
  }
  checkBacking(values, image, program);
  const size = values.get("size");
  const refcountBits = values.get("refcount_bits");
  const lazyRefcounts = values.get("lazy_refcounts");
  const dataFile = values.get("data_file");
  const dataFileRaw = values.get("data_file_raw");
  return {
    shrink: true,
    ...(compat === undefined ? {} : { compat }),
    ...(typeof size === "number" && size > 0 ? { size } : {}),
    ...(typeof refcountBits === "number" ? { refcountBits } : {}),
    ...(typeof lazyRefcounts === "boolean" ? { lazyRefcounts } : {}),
    ...(typeof dataFile === "string" ? { dataFileName: dataFile === "" ? null : dataFile } : {}),
    ...(typeof dataFileRaw === "boolean" ? { dataFileRaw } : {}),
  };
}

function parse(texts: readonly string[]): CreateOptionValues {
  const values = new Map<string, string | number | boolean>();
  for (const text of texts) {
    checkOptionList(text);
    for (const { key, value } of parseKeyValues(text)) {
      const option = amendOptionTable.find(({ name }) => name === key);
      if (option === undefined) {
        throw unknown(key);
      }
      values.set(key, parseOne(option, value ?? "on"));
    }
  }
  return values;
}

function parseOne(option: (typeof amendOptionTable)[number], text: string): string | number | boolean {
  try {
    return parseValue(option, text, "");
  } catch (error) {
    throw option.type === "size" && error instanceof CommandError
      ? new CommandError(error.message, { hint: sizeHint })
      : error;
  }
}

function unknown(key: string): CommandError {
  const isForCreation = createOptionsOf("qcow2").some(({ name }) => name === key);
  return new CommandError(
    `Invalid parameter '${key}'`,
    isForCreation
      ? { hint: "This option is only supported for image creation" }
      : suggestion(
          key,
          amendOptionTable.map(({ name }) => name),
        ),
  );
}

function compatOf(values: CreateOptionValues): "0.10" | "1.1" | undefined {
  const text = values.get("compat");
  if (typeof text !== "string") {
    return undefined;
  }
  const level = Object.hasOwn(levels, text) ? levels[text] : undefined;
  if (level === undefined) {
    throw new CommandError(`Unknown compatibility level ${text}`);
  }
  return level;
}

/** The backing image may be named, if it is the one that there is. */
function checkBacking(values: CreateOptionValues, { driver }: FormatAccess, program: string): void {
  const [name, format] = [values.get("backing_file"), values.get("backing_fmt")];
  const { backing } = driver.describe?.() ?? {};
  if ((name !== undefined || format !== undefined) && (name !== backing?.name || format !== backing?.format)) {
    throw new CommandError("Cannot amend the backing file", { hint: `You can use '${program} rebase' instead.` });
  }
}
