import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { BlockingPolicy, NativePolicy } from "../../src/index.ts";
import { loadNative } from "../../src/native/load-native.ts";

/** Whether the native helper works here; tests of what needs it are skipped where it doesn't. */
export const hasNative: boolean = loadNative() !== undefined;

/** Directories on file systems of different kinds. */
export const places: readonly string[] = [tmpdir(), ...(existsSync("/dev/shm") ? ["/dev/shm"] : [])];

/** A way to use files that the same tests hold for. */
export interface Variant {
  readonly name: string;
  readonly place: string;
  readonly native: NativePolicy;
  readonly blocking: BlockingPolicy;
}

/** Every place, with and without the helper, with each policy. */
export const variants: readonly Variant[] = places.flatMap((place) =>
  (hasNative ? (["auto", "off"] as const) : (["off"] as const)).flatMap((native) =>
    (["always", "cached", "never"] as const).map((blocking) => ({
      name: `${place}, native ${native}, blocking ${blocking}`,
      place,
      native,
      blocking,
    })),
  ),
);

/** A directory of its own, removed after the file's tests. */
export function scratch(place: string = tmpdir()): string {
  const directory = mkdtempSync(join(place, "img-storage-fs-"));
  afterAll(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
