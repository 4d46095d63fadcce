import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A directory of the test file's own, which is removed in the end. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "img-adapters-"));
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}
