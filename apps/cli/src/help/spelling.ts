import type { OptionDefinition } from "../arguments/option-definition.ts";

/** `-f fmt`, `--output=ofmt`; with `both`, all names that an option has. */
export function spelling(
  { short, long, value, optionalValue }: OptionDefinition,
  afterShort: string,
  afterLong: string,
  both: boolean,
): string {
  const suffix = (separator: string): string => {
    if (value === undefined) {
      return "";
    }
    return optionalValue === true ? `[=${value}]` : `${separator}${value}`;
  };
  if (short !== undefined && (long === undefined || !both)) {
    return `-${short}${suffix(afterShort)}`;
  }
  return `${short === undefined ? "" : `-${short}, `}--${long ?? ""}${suffix(afterLong)}`;
}
