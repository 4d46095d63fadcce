/** Anything that JSON can carry; `undefined` members are left out. */
export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/**
 * JSON as QEMU writes it: an indent of four spaces, empty arrays and objects over two lines, ASCII only. Keys keep their order.
 */
export function qemuJson(value: Json, indent = ""): string {
  if (Array.isArray(value)) {
    return block("[", "]", indent, (inner) => (value as readonly Json[]).map((each) => qemuJson(each, inner)));
  }
  if (typeof value === "object" && value !== null) {
    return block("{", "}", indent, (inner) =>
      Object.entries(value)
        .filter(([, each]) => each !== undefined)
        .map(([key, each]) => `${quote(key)}: ${qemuJson(each, inner)}`),
    );
  }
  return scalar(value as string | number | bigint | boolean | null);
}

/** {@link qemuJson} on one line: `{"a": 1, "b": [2, 3]}`. */
export function qemuJsonLine(value: Json): string {
  if (Array.isArray(value)) {
    return `[${(value as readonly Json[]).map(qemuJsonLine).join(", ")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${members.map(([key, each]) => `${quote(key)}: ${qemuJsonLine(each)}`).join(", ")}}`;
  }
  return scalar(value as string | number | bigint | boolean | null);
}

function block(open: string, close: string, indent: string, items: (inner: string) => string[]): string {
  const inner = `${indent}    `;
  const lines = items(inner).map((item) => `${inner}${item}`);
  return lines.length === 0 ? `${open}\n${indent}${close}` : `${open}\n${lines.join(",\n")}\n${indent}${close}`;
}

function scalar(value: string | number | bigint | boolean | null): string {
  return typeof value === "string" ? quote(value) : String(value);
}

function quote(text: string): string {
  // JSON.stringify escapes as QEMU does, but for the case of digits, DEL, and what is beyond ASCII
  return JSON.stringify(text)
    .replace(/\\(?:u[0-9a-f]{4}|.)/g, (escape) => (escape[1] === "u" ? `\\u${escape.slice(2).toUpperCase()}` : escape))
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
