import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.ts";
import type { ServedFile } from "./page-server.ts";

const directory = new URL("../..", import.meta.url).pathname;

/** The page with everything that belongs to it, by path. */
export async function pageFiles(): Promise<Map<string, ServedFile>> {
  const page = (name: string): Uint8Array => readFileSync(join(directory, "page", name));
  return new Map([
    ["/", { type: "text/html", body: page("index.html") }],
    ["/style.css", { type: "text/css", body: page("style.css") }],
    ["/main.js", await script("src/page/main.ts")],
    ["/overlay-worker.js", await script("src/worker/overlay-worker.ts")],
    ["/remote-worker.js", await script("src/worker/remote-worker.ts")],
    ["/fetch-module.js", await script("src/worker/fetch-module.ts")],
    // a bridge starts its worker from beside the module that it is in, which is what a bundler has to see to
    ["/web-bridge-worker.js", await script("../packages/sync/src/web-bridge-worker.ts")],
  ]);
}

/** A program of ours, bundled; `file` is relative to this package. */
export async function script(file: string): Promise<ServedFile> {
  return { type: "text/javascript", body: (await bundle({ file })).code };
}
