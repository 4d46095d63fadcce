#!/usr/bin/env node
import { main } from "./main.ts";

// Node ≥ 22.1 keeps compiled code between runs; it has to be asked before a verb is loaded. An older one isn't: loading the module takes time.
if (Number.parseInt(process.versions.node, 10) >= 22) {
  const module = process.getBuiltinModule("node:module") as { enableCompileCache?: () => unknown };
  module.enableCompileCache?.();
}

void main(process.argv).then((code) => {
  process.exitCode = code;
  // all is done: what Node would take apart piece by piece, the system takes back at once
  process.once("beforeExit", (status) => process.exit(status));
});
