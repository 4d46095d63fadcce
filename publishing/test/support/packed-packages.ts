import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { root } from "../../src/root.ts";
import { LocalRegistry } from "./local-registry.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The tarball of each package, by name. */
    readonly tarballs: Readonly<Record<string, string>>;
    /** The address of a registry that has them. */
    readonly registry: string;
  }
}

/** Packs all packages once for all files of tests, and serves them to npm as a registry would. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), "img-packed-"));
  const run = spawnSync(process.execPath, [join(root, "scripts", "pack-packages.mjs"), directory], {
    encoding: "utf8",
  });
  if (run.status !== 0) {
    rmSync(directory, { recursive: true, force: true });
    throw new Error(run.stderr);
  }
  const tarballs = JSON.parse(run.stdout) as Record<string, string>;
  const registry = await LocalRegistry.start(Object.values(tarballs));
  project.provide("tarballs", tarballs);
  project.provide("registry", registry.url);
  return async () => {
    await registry.close();
    rmSync(directory, { recursive: true, force: true });
  };
}
