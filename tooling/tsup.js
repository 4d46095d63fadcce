/**
 * The tsup configuration that every published package starts from: one ESM file per entry, declarations, source maps,
 * dependencies left as imports.
 *
 * @param {import("tsup").Options & { entry: Record<string, string> }} options `entry` names the files of `dist/`;
 *   everything else overrides the defaults.
 * @returns {import("tsup").Options}
 */
export function packageBuild(options) {
  return {
    format: "esm",
    target: "es2022",
    // "neutral" loses the main fields that some dependencies need; purity is the linter's and the type checker's job.
    platform: "node",
    clean: true,
    dts: true,
    sourcemap: true,
    splitting: true,
    treeshake: true,
    removeNodeProtocol: false,
    tsconfig: "tsconfig.json",
    silent: true,
    ...options,
  };
}
