import { isAscii } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
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
  const script = new Script(text, {
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

/** What `require` puts around the text of a module. */
const around = ["(function (exports, require, module, __filename, __dirname) { ", "\n})"] as const;

/**
 * The text of a file as a function, and words that are others when the file is another one. Texts of hundreds of kilobytes are copied no more than
 * needed: what young objects take decides whether so short a run collects garbage.
 */
function readSource(path: string): { readonly text: string; readonly words: string } {
  const file = openSync(path, "r");
  try {
    const { size, mtimeMs, ctimeMs, ino } = fstatSync(file);
    const [before, after] = around;
    const bytes = Buffer.allocUnsafeSlow(before.length + size + after.length);
    bytes.write(before, "latin1");
    const end = before.length + readAll(file, bytes.subarray(before.length, before.length + size));
    bytes.write(after, end, "latin1");
    const whole = bytes.subarray(0, end + after.length);
    return { text: whole.toString(isAscii(whole) ? "latin1" : "utf8"), words: [size, mtimeMs, ctimeMs, ino].join(" ") };
  } finally {
    closeSync(file);
  }
}

/** @returns how many bytes there were: fewer than there is room for when the file is being changed */
function readAll(file: number, into: Uint8Array): number {
  let done = 0;
  for (let got = 1; got > 0 && done < into.length; done += got) {
    got = readSync(file, into, done, into.length - done, null);
  }
  return done;
}
