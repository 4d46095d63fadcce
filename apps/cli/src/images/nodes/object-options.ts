import { parseKeyValues } from "../../values/key-values.ts";
import { optionsFromJson, type BlockdevOptions } from "../blockdev-options.ts";

/**
 * What `--object` gives, as options: `TYPE,id=…`, with the type as `qom-type`, or JSON.
 * @throws CommandError for what is no JSON object
 */
export function objectOptions(definition: string): BlockdevOptions {
  if (definition.startsWith("{")) {
    return optionsFromJson(definition);
  }
  return new Map(
    parseKeyValues(definition).map(({ key, value }, index) =>
      value === undefined && index === 0 ? ["qom-type", key] : [key, value ?? "on"],
    ),
  );
}
