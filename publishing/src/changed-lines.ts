/**
 * The lines that differ, `-` before those that are gone and `+` before new ones. A line that has only moved isn't among them.
 *
 * @param limit how many at most; a last line says how many more there are
 */
export function changedLines(before: string, after: string, limit: number): string[] {
  const lines = [...surplus(before, after, "-"), ...surplus(after, before, "+")];
  const more = lines.length - limit;
  return more > 0 ? [...lines.slice(0, limit), `… and ${more} more`] : lines;
}

/** The lines that `text` has more often than `other`. */
function surplus(text: string, other: string, mark: string): string[] {
  const counts = new Map<string, number>();
  for (const line of other.split("\n")) counts.set(line, (counts.get(line) ?? 0) + 1);
  return text.split("\n").flatMap((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count > 0 ? [] : [`${mark} ${line.trim()}`];
  });
}
