import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { format } from "node:util";
import type { Document } from "./document.ts";

/** A program in a document: a block of TypeScript or JavaScript with imports. */
export interface Example {
  /** Where it stands, for people. */
  readonly name: string;
  readonly language: "ts" | "js";
  readonly text: string;
  /** A file with the program as it stands, for the type checker. */
  readonly path: string;
  /** It is a test file for some runner, so it can't run inside of a test. */
  readonly isTest: boolean;
}

/** Where examples suppose images to be. */
const imagesDirectory = "/var/lib/images";

/** What one `console.log` of an example printed, and what the document says that it prints. */
export interface Printed {
  /** Line in the example, from 1. */
  readonly line: number;
  /** What the comment behind the call promises. `undefined`: nothing. */
  readonly promised: string | undefined;
  /** What was printed; several times: with `, then ` in between. */
  readonly actual: string;
}

/** Below this package, so that its dependencies are the examples' too. */
const cache = fileURLToPath(new URL("../../.cache/", import.meta.url));
const directory = join(cache, "documents");

/** What examples import from a project that isn't there, by the file that they expect it in. */
const standIns: Readonly<Record<string, string>> = {
  "my-storage.ts": `import { MemoryStorage, type MemoryStorageOptions } from "@img/format-core";
export class MyStorage extends MemoryStorage {
  static create(contents: Uint8Array, options?: MemoryStorageOptions): MyStorage {
    return new MyStorage(contents, options);
  }
}
`,
  "my-format.ts": `export { raw as myFormat } from "@img/raw";
`,
};

const call = /^(\s*)console\.log\((.*)\);(?:\s*\/\/ (.*))?$/;

/** Writes the programs of all documents into files. */
export function extractExamples(documents: readonly Document[]): Example[] {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  mkdirSync(join(cache, "src"), { recursive: true });
  for (const [name, text] of Object.entries(standIns)) {
    writeFileSync(join(cache, "src", name), text);
  }
  return documents.flatMap((document) =>
    document.blocks.flatMap((block) => {
      const { language, line, text } = block;
      if ((language !== "ts" && language !== "js") || !/^import /m.test(text)) {
        return [];
      }
      const name = `${document.path}:${String(line)}`;
      const path = join(directory, `${name.replaceAll(/[^a-zA-Z0-9]+/g, "-")}.${language}`);
      writeFileSync(path, `${text}\n`);
      return [{ name, language, text, path, isTest: /from "(?:vitest|node:test)"/.test(text) }];
    }),
  );
}

/**
 * Runs an example, and collects what it prints.
 * @param images - the directory that stands for `/var/lib/images`, in what is promised too
 */
export async function runExample(example: Example, images: string): Promise<Printed[]> {
  const lines = example.text.replaceAll(imagesDirectory, images).split("\n");
  const outputs = new Map<number, string[]>();
  const print = (line: number, ...values: readonly unknown[]): void => {
    const list = outputs.get(line) ?? [];
    list.push(format(...values));
    outputs.set(line, list);
  };
  Reflect.set(globalThis, "printedByExample", print);
  const path = `${example.path.slice(0, -3)}-run.${example.language}`;
  const traced = lines.map((text, index) => {
    const found = call.exec(text);
    return found === null ? text : `${found[1] ?? ""}printedByExample(${String(index + 1)}, ${found[2] ?? ""});`;
  });
  writeFileSync(path, `${traced.join("\n")}\n`);
  await import(/* @vite-ignore */ pathToFileURL(path).href);
  return lines.flatMap((text, index) => {
    const found = call.exec(text);
    const line = index + 1;
    return found === null ? [] : [{ line, promised: found[3], actual: (outputs.get(line) ?? []).join(", then ") }];
  });
}
