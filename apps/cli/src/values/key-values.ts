/** One `key=value`. */
export interface KeyValue {
  readonly key: string;
  /** `undefined`: the key stands alone. */
  readonly value: string | undefined;
}

/**
 * The parts of `a=b,c=d`. A comma that belongs to a value is doubled.
 */
export function parseKeyValues(text: string): KeyValue[] {
  return splitAtCommas(text).map((part) => {
    const equals = part.indexOf("=");
    return equals < 0 ? { key: part, value: undefined } : { key: part.slice(0, equals), value: part.slice(equals + 1) };
  });
}

function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (let at = 0; at < text.length; at++) {
    const here = text[at] ?? "";
    if (here !== ",") {
      part += here;
    } else if (text[at + 1] === ",") {
      part += ",";
      at++;
    } else {
      parts.push(part);
      part = "";
    }
  }
  return part === "" ? parts : [...parts, part];
}
