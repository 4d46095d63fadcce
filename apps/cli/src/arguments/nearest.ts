/**
 * What somebody may have meant: the one of `known` that is fewest changes away from `word` (a letter more, less, or another one, or two next to each
 * other the wrong way round). Upper and lower case are alike.
 *
 * @returns `undefined` when nothing is near: more than a third of the letters, or three changes, away
 */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const most = Math.min(2, Math.floor(word.length / 3) + (word.length < 3 ? 0 : 1));
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const distance = changes(word.toLowerCase(), name.toLowerCase());
    if (distance <= most && distance < (best?.distance ?? Infinity) && distance < name.length) {
      best = { name, distance };
    }
  }
  return best?.name;
}

/** {@link nearest} as the line that is printed, or nothing: to be spread into an error's options. */
export function suggestion(
  word: string,
  known: readonly string[],
): { readonly hint: string } | Readonly<Record<string, never>> {
  const name = nearest(word, known);
  return name === undefined ? {} : { hint: `Did you mean '${name}'?` };
}

/** The distance of Damerau and Levenshtein, where nothing is changed twice. */
function changes(from: string, to: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: to.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      let least = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, (before[j - 2] ?? 0) + 1);
      }
      next.push(least);
    }
    [before, row] = [row, next];
  }
  return row[to.length] ?? 0;
}
