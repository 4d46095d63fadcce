/**
 * A name for people: control characters, which could rewrite what a terminal shows, and those that change the direction of text are written
 * as `\xNN` or `\uNNNN`.
 */
export function printable(name: string): string {
  // eslint-disable-next-line no-control-regex -- exactly these are looked for
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
