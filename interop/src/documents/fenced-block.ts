/** A fenced block of a Markdown document. */
export interface FencedBlock {
  /** What follows the opening fence, for example `"ts"`; empty when there is nothing. */
  readonly language: string;
  /** Line in the document of the block's first line, from 1. */
  readonly line: number;
  /** Without the fences. */
  readonly text: string;
}

/** The fenced blocks of a Markdown document, in order. Fences are three backticks at the start of a line. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  const blocks: FencedBlock[] = [];
  let open: { readonly language: string; readonly line: number; readonly lines: string[] } | undefined;
  markdown.split("\n").forEach((text, index) => {
    const fence = /^```(.*)$/.exec(text);
    if (fence === null) {
      open?.lines.push(text);
    } else if (open === undefined) {
      open = { language: (fence[1] ?? "").trim(), line: index + 2, lines: [] };
    } else {
      blocks.push({ language: open.language, line: open.line, text: open.lines.join("\n") });
      open = undefined;
    }
  });
  if (open !== undefined) {
    throw new Error(`the block at line ${String(open.line)} has no end`);
  }
  return blocks;
}
