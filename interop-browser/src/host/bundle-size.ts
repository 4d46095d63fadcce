import { gzipSync } from "node:zlib";
import { bundle, type BundleEntry } from "./bundle.ts";

/** What a bundle takes, in bytes. */
export interface BundleSize {
  readonly minified: number;
  readonly gzipped: number;
}

/** How large a bundle for browsers becomes. Node's zlib decides about the last bytes, so another version of it may give a few others. */
export async function bundleSize(entry: BundleEntry): Promise<BundleSize> {
  const { code } = await bundle(entry, { minify: true });
  return { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length };
}
