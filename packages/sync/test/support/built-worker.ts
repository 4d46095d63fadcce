import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "tsup";

/** The worker and what it is to open in tests, as JavaScript: workers don't load TypeScript. */
export interface BuiltWorker {
  readonly workerEntry: URL;
  /** URL of a module in `fixtures`. */
  readonly fixture: (name: "storages" | "throws") => URL;
  readonly directory: string;
  readonly remove: () => void;
}

/** Makes them from the sources. */
export async function buildWorker(): Promise<BuiltWorker> {
  const directory = mkdtempSync(join(tmpdir(), "img-sync-"));
  const root = join(import.meta.dirname, "../..");
  await build({
    entry: {
      "node-bridge-worker": join(root, "src/node-bridge-worker.ts"),
      storages: join(root, "test/fixtures/storages.ts"),
      throws: join(root, "test/fixtures/throws.ts"),
      sync: join(root, "src/index.ts"),
    },
    outDir: directory,
    config: false,
    silent: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    splitting: true,
    noExternal: [/./],
    esbuildOptions(settings) {
      settings.conditions = ["@img/source", "module"];
    },
  });
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  return {
    directory,
    workerEntry: pathToFileURL(join(directory, "node-bridge-worker.js")),
    fixture: (name) => pathToFileURL(join(directory, `${name}.js`)),
    remove: () => {
      rmSync(directory, { recursive: true });
    },
  };
}
