/** Longest line of prose, in characters. */
const width = 76;

/** Prose for a page in the language of mdoc(7): a line for each sentence, none too long, and nothing in it that roff would take for an instruction. */
export function roffText(text: string): string {
  return text
    .split(/(?<=[.!?])\s+(?=[A-Z])/)
    .flatMap((sentence) => wrapped(sentence.split(/\s+/)))
    .map((line) => escaped(line).replace(/^[.']/, "\\&$&"))
    .join("\n");
}

/** One argument of a macro. */
export function roffArgument(text: string): string {
  return `"${escaped(text).replaceAll('"', '""')}"`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

function wrapped(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && escaped(`${last} ${word}`).length <= width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
