import { readFileSync } from "node:fs";
import { CommandError } from "../errors/command-error.ts";
import { strerror } from "../errors/strerror.ts";
import { objectOptions } from "../images/nodes/object-options.ts";
import { parseKeyValues } from "./key-values.ts";

const keys = ["qom-type", "id", "data", "file", "format", "keyid", "iv"];

/**
 * Looks through what `--object` gives. Secrets are understood; there is nothing yet that takes one, because encrypted images are refused by name, so that
 * one which isn't needed does no harm and scripts that always pass one work.
 *
 * @param definitions - `secret,id=s,data=abc`, or the same as JSON
 * @throws CommandError in qemu-img's words for what is no secret
 */
export function checkObjects(definitions: readonly string[]): void {
  const ids = new Set<string>();
  // these are for who opens images
  const others = definitions.filter((each) => objectOptions(each).get("qom-type") !== "throttle-group");
  for (const definition of others) {
    const values = definition.startsWith("{") ? fromJson(definition) : fromText(definition);
    if (values.get("qom-type") === "throttle-group") {
      // looked through where the images are named that use it
      continue;
    }
    const id = checkSecret(values);
    checkKey(values, ids);
    if (ids.has(id)) {
      throw new CommandError(`attempt to add duplicate property '${id}' to object (type 'container')`);
    }
    ids.add(id);
  }
}

type Values = ReadonlyMap<string, string>;

function fromText(text: string): Values {
  const values = new Map<string, string>();
  for (const [index, { key, value }] of parseKeyValues(text).entries()) {
    if (value === undefined && index === 0) {
      values.set("qom-type", key);
    } else {
      values.set(key, value ?? "on");
    }
  }
  return values;
}

function fromJson(text: string): Values {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CommandError(`JSON parse error in --object: ${String(error instanceof Error ? error.message : error)}`);
  }
  return new Map(Object.entries(value as Readonly<Record<string, unknown>>).map(([key, each]) => [key, String(each)]));
}

/** @returns its id */
function checkSecret(values: Values): string {
  const type = values.get("qom-type");
  if (type === undefined) {
    throw new CommandError("Parameter 'qom-type' is missing");
  }
  if (type !== "secret") {
    throw new CommandError(`Parameter 'qom-type' does not accept value '${type}'`, {
      hint: "objects are secrets and throttle groups here",
    });
  }
  const id = values.get("id");
  if (id === undefined) {
    throw new CommandError("Parameter 'id' is missing");
  }
  const unexpected = [...values.keys()].find((key) => !keys.includes(key));
  if (unexpected !== undefined) {
    throw new CommandError(`Parameter '${unexpected}' is unexpected`);
  }
  const format = values.get("format") ?? "raw";
  if (format !== "raw" && format !== "base64") {
    throw new CommandError(`Parameter 'format' does not accept value '${format}'`);
  }
  if (!/^[a-z][a-z0-9._-]*$/i.test(id)) {
    throw new CommandError(
      "Parameter 'id' expects an identifier\n" +
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
    );
  }
  checkContents(values.get("data"), values.get("file"));
  return id;
}

function checkContents(data: string | undefined, file: string | undefined): void {
  if (data !== undefined && file !== undefined) {
    throw new CommandError("'file' and 'data' are mutually exclusive");
  }
  if (file === undefined) {
    if (data === undefined) {
      throw new CommandError("Either 'file' or 'data' must be provided");
    }
    return;
  }
  try {
    readFileSync(file);
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new CommandError(`Unable to read ${file}: Failed to open file “${file}”: ${strerror(code) ?? message}`);
  }
}

/** A secret may be encrypted by one that was given before. */
function checkKey(values: Values, ids: ReadonlySet<string>): void {
  const key = values.get("keyid");
  if (key !== undefined && !ids.has(key)) {
    throw new CommandError(`No secret with id '${key}'`);
  }
}
