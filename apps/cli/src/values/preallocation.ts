import type { Preallocation } from "@img/format-core";
import { CommandError } from "../errors/command-error.ts";

/** What `-o preallocation=` asks for. @throws CommandError in qemu-img's words */
export function parsePreallocation(value: string | number | boolean | undefined): Preallocation {
  switch (value) {
    case undefined:
    case "off":
      return "none";
    case "metadata":
    case "falloc":
    case "full":
      return value;
    default:
      throw new CommandError(`invalid parameter value: ${String(value)}`);
  }
}
