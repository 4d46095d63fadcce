import { readdirSync, readFileSync } from "node:fs";
import { programBuild } from "@img/tooling/tsup";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

/** The files that export a verb's `run`, without their extension. */
const verbs = readdirSync(new URL("src/verbs", import.meta.url))
  .filter((name) =>
    /^export async function run\b/m.test(readFileSync(new URL(`src/verbs/${name}`, import.meta.url), "utf8")),
  )
  .map((name) => name.slice(0, -".ts".length));

/**
 * Leaves a verb's file where it is until it is asked for. Each verb is a file with all that it needs and nothing else, which starts faster than
 * parts that verbs share: there, everything that any verb takes from a package comes along.
 *
 * @type {NonNullable<import("tsup").Options["esbuildPlugins"]>[number]}
 */
const lazyVerbs = {
  name: "lazy-verbs",
  setup(build) {
    build.onResolve({ filter: /^\.\/[a-z-]+\.ts$/ }, ({ kind, path }) =>
      kind === "dynamic-import" && verbs.includes(path.slice(2, -3))
        ? { path: `./verb-${path.slice(2, -3)}.js`, external: true }
        : undefined,
    );
  },
};

const build = programBuild({
  entry: {
    img: "src/img.ts",
    "node-worker": "../../packages/operations/src/node-worker.ts",
    ...Object.fromEntries(verbs.map((verb) => [`verb-${verb}`, `src/verbs/${verb}.ts`])),
  },
  esbuildPlugins: [lazyVerbs],
  define: { __IMG_VERSION__: JSON.stringify(version) },
});

export default {
  ...build,
  // Nobody debugs the published program with them, and there would be one for each verb.
  sourcemap: false,
  /** @type {NonNullable<import("tsup").Options["esbuildOptions"]>} */
  esbuildOptions(options, context) {
    build.esbuildOptions?.(options, context);
    // Names stay: a stack trace in a report has to be readable.
    options.minifyWhitespace = true;
    options.minifySyntax = true;
  },
};
