#!/usr/bin/env node
import module from "node:module";

// Node ≥ 22.1 keeps compiled code between runs; it has to be asked before the code is loaded.
(module as { enableCompileCache?: () => unknown }).enableCompileCache?.();

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") {
    throw error;
  }
  // nobody reads on: nothing more to say
  process.exit(1);
});

const { main } = await import("./main.ts");
process.exitCode = await main(process.argv);
