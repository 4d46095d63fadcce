import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname } from "node:path";
import { Script } from "node:vm";
import { CompiledCode } from "./compiled-code.ts";

/** The function that a CommonJS module is the body of. */
type ModuleFunction = (
  exports: unknown,
  require: NodeJS.Require,
  module: { exports: unknown },
  filename: string,
  directory: string,
) => void;

/**
 * Loads a file of the program as `require` would, with what V8 made of it in an earlier run, if that was kept. When it wasn't, it is kept at the end
 * of this run: by then, the functions that such a run calls are compiled, too. A file that is loaded so can't `import()` anything.
 *
 * @param file - a CommonJS module in the directory of the program
 * @param env - says where compiled code is kept, as for {@link CompiledCode.for}
 * @returns what it exports
 */
export function loadCompiled(file: string, env: NodeJS.ProcessEnv = process.env): unknown {
  const load = createRequire(import.meta.url);
  const { text, words } = readSource(file);
  const code = CompiledCode.for(basename(file), words, env);
  if (code === undefined) {
    return load(file) as unknown;
  }
  const cachedData = code.read();
  const script = new Script(`(function (exports, require, module, __filename, __dirname) { ${text}\n})`, {
    filename: file,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  if (cachedData === undefined || script.cachedDataRejected === true) {
    process.once("exit", (status) => {
      if (status === 0) {
        code.keep(() => script.createCachedData());
      }
    });
  }
  const module = { exports: {}, id: file, filename: file, loaded: true };
  // whoever asks `require` for it gets the same one
  load.cache[file] = module as NodeJS.Module;
  const run = script.runInThisContext() as ModuleFunction;
  run(module.exports, load, module, file, dirname(file));
  return module.exports;
}

/** The text of a file, and words that are others when the file is another one. */
function readSource(path: string): { readonly text: string; readonly words: string } {
  const file = openSync(path, "r");
  try {
    const { size, mtimeMs, ctimeMs, ino } = fstatSync(file);
    return { text: readFileSync(file, "utf8"), words: [size, mtimeMs, ctimeMs, ino].join(" ") };
  } finally {
    closeSync(file);
  }
}
