/** The longest name of a file in the file systems that there are: bytes in most, UTF-16 units in some. */
export const longestFileName = 255;

/**
 * Whether a pattern stands for a name: `*` for any characters, also none, `?` for one (a code point), everything else for itself. Takes at most as many
 * steps as the product of both lengths, whatever strangers choose as names.
 */
export function matchesPattern(pattern: string, name: string): boolean {
  const wanted = Array.from(pattern);
  const found = Array.from(name);
  let at = 0;
  /** What follows the last star that was met, and where the characters end that the star stands for. */
  let retry: { readonly after: number; end: number } | undefined;
  for (let index = 0; index < found.length;) {
    if (wanted[at] === "*") {
      retry = { after: ++at, end: index };
    } else if (wanted[at] === "?" || wanted[at] === found[index]) {
      at++;
      index++;
    } else if (retry === undefined) {
      return false;
    } else {
      // a later star can stand for whatever an earlier one could have taken besides: only the last one takes one more
      at = retry.after;
      index = ++retry.end;
    }
  }
  return wanted.slice(at).every((character) => character === "*");
}
