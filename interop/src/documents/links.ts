import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, type Document } from "./document.ts";

/** The links of a document to files or headings that don't exist: one line each. */
export function brokenLinks(document: Document, documents: readonly Document[]): string[] {
  const prose = withoutCode(document.text);
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(target, document, documents));
}

/** Files that a document names in code spans (`packages/…/file.ts`, from the root) and that don't exist. */
export function missingFiles(document: Document): string[] {
  const prose = document.text.replaceAll(/^```[^]*?^```/gm, "");
  return [...prose.matchAll(/`((?:packages|apps|interop|bench|tooling|scripts|docs|samples)\/[^`*<…]+)`/g)]
    .map(([, path = ""]) => path)
    .filter((path) => !existsSync(join(root, path)));
}

function leadsSomewhere(target: string, from: Document, documents: readonly Document[]): boolean {
  const [file = "", heading] = target.split("#");
  const path = file === "" ? from.path : join(dirname(from.path), file);
  if (!existsSync(join(root, path))) {
    return false;
  }
  const document = documents.find((each) => each.path === path);
  return heading === undefined || document === undefined || headings(document).includes(heading);
}

/** The anchors that a document's headings get. */
function headings(document: Document): string[] {
  return [...withoutCode(document.text, false).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function withoutCode(text: string, spansToo: boolean = true): string {
  const prose = text.replaceAll(/^```[^]*?^```/gm, "");
  return spansToo ? prose.replaceAll(/`[^`\n]*`/g, "") : prose;
}
