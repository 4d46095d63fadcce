import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "tsup";

/** Bundles the module that threads run, from the sources of all packages, into a directory; returns where it is. */
export async function buildWorker(outDir: string): Promise<URL> {
  await build({
    entry: { "node-worker": join(import.meta.dirname, "../../src/node-worker.ts") },
    outDir,
    config: false,
    silent: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    splitting: false,
    noExternal: [/./],
    external: ["koffi"],
    esbuildOptions(settings) {
      settings.conditions = ["@img/source", "module"];
    },
  });
  writeFileSync(join(outDir, "package.json"), '{"type":"module"}');
  return pathToFileURL(join(outDir, "node-worker.js"));
}
