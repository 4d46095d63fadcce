/** Whether `actual` is what a document promises: `…` there stands for anything, and white space is all the same. */
export function isExpected(actual: string, promised: string): boolean {
  const pattern = normalized(promised)
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${pattern}$`, "s").test(normalized(actual));
}

function normalized(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}
