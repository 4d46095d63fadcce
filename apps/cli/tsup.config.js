import { packageBuild } from "@img/tooling/tsup";

// One file with everything in it starts fastest and installs alone; only the native helper stays outside.
export default packageBuild({
  entry: { img: "src/img.ts" },
  dts: false,
  splitting: false,
  noExternal: [/./],
  // Straight from the sources of the other packages: no build of theirs is needed first.
  esbuildOptions(options) {
    options.conditions = ["@img/source", "module"];
  },
  external: ["koffi"],
});
