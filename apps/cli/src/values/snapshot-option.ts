import { CommandError } from "../errors/command-error.ts";
import { parseKeyValues } from "./key-values.ts";

/** A snapshot's id or name, or exactly one of both. */
export type SnapshotOption = string | { readonly id?: string; readonly name?: string };

/**
 * The value of `-l`: `snapshot.id=ID,snapshot.name=NAME`, or an id or name.
 * @throws CommandError in qemu-img's words
 */
export function parseSnapshotOption(text: string): SnapshotOption {
  if (!text.startsWith("snapshot.")) {
    return text;
  }
  const wanted: { id?: string; name?: string } = {};
  for (const { key, value = "on" } of parseKeyValues(text)) {
    if (key === "snapshot.id") {
      wanted.id = value;
    } else if (key === "snapshot.name") {
      wanted.name = value;
    } else {
      throw new CommandError(`Invalid parameter '${key}'\nFailed in parsing snapshot param '${text}'`);
    }
  }
  return wanted;
}
