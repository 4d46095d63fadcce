import { writeFileSync } from "node:fs";
import { beginThread } from "../../src/node/begin-thread.ts";

/** What is used of koffi here. */
interface Koffi {
  load(path: null): { func(declaration: string): unknown };
}

// A thread that loads native code as a helping one does, and takes its time: it declares functions for a while before it says that it is ready.
beginThread((port, { kind }) => {
  const { KOFFI: path = "", BEGUN: begun = "", DECLARED: declared = "" } = process.env;
  const module = { exports: {} };
  process.dlopen(module, path);
  const library = (module.exports as Koffi).load(null);
  writeFileSync(begun, "");
  const limit = performance.now() + 150;
  for (let count = 0; performance.now() < limit; count++) {
    try {
      // no C library has all functions, and that one isn't there is thrown by native code
      library.func(`int missing_${String(count)}(int fd)`);
    } catch {
      // it is done without
    }
  }
  writeFileSync(declared, "");
  if (kind === "read") {
    port.once("message", () => {
      port.close();
    });
  }
  port.postMessage("ready");
});
