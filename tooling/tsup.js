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
    // What others of our packages declare is taken as it is built; types are for the type checker, not looked at twice.
    dts: { compilerOptions: { customConditions: [], noCheck: true } },
    sourcemap: true,
    splitting: true,
    treeshake: true,
    // `node:sqlite` and the like exist under the full name only.
    removeNodeProtocol: false,
    tsconfig: "tsconfig.json",
    silent: true,
    ...options,
  };
}

/**
 * The tsup configuration of a program: one file for each entry with everything in it, which starts fastest and can be
 * installed alone. It is made from the sources of our other packages, so none of them has to be built first.
 *
 * @param {import("tsup").Options & { entry: Record<string, string> }} options as for {@link packageBuild}
 * @returns {import("tsup").Options}
 */
export function programBuild(options) {
  return packageBuild({
    dts: false,
    splitting: false,
    noExternal: [/./],
    // The native helper is optional and has a binary for each platform.
    external: ["koffi"],
    esbuildOptions(build) {
      build.conditions = ["@img/source", "module"];
    },
    ...options,
  });
}
