import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { programBuild } from "@img/tooling/tsup";
import { build } from "tsup";

// Made for starting fast, because a command that takes milliseconds is called by scripts, over and over:
// - CommonJS: the loader of ES modules takes several milliseconds before the first line runs.
// - What V8 compiled is kept for the next run; that is why the program itself is a file beside the one that is called.
// - Each verb is a file with all that it needs and nothing else, loaded when it is asked for. Parts that verbs share would be fewer bytes
//   on disk, but everything that any verb takes from a package would come along.
// - The codecs are a file of their own, loaded when the first compressed cluster is met; so is the client of NBD, for names that ask for it.

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

/** The files that export a verb's `run`, without their extension. */
const verbs = readdirSync(new URL("src/verbs", import.meta.url))
  .filter((name) =>
    /^export async function run\b/m.test(readFileSync(new URL(`src/verbs/${name}`, import.meta.url), "utf8")),
  )
  .map((name) => name.slice(0, -".ts".length));

/**
 * @typedef {NonNullable<import("tsup").Options["esbuildPlugins"]>[number]} Plugin
 */

/**
 * Leaves a verb's file where it is until it is asked for; by `require`, because `import()` would load the loader of ES modules after all.
 *
 * @type {Plugin}
 */
const lazyVerbs = {
  name: "lazy-verbs",
  setup(bundler) {
    bundler.onLoad({ filter: /\/verbs\/verbs\.ts$/ }, ({ path }) => ({
      contents: [
        'import { loadCompiled } from "../start/load-compiled.ts";',
        readFileSync(path, "utf8").replaceAll(
          /\bimport\("\.\/([a-z-]+)\.ts"\)/g,
          "Promise.resolve(loadCompiled(`${__dirname}/verb-$1.js`))",
        ),
      ].join("\n"),
      loader: "ts",
    }));
  },
};

/**
 * Leaves everything but the first lines in a file of its own, whose compiled code can be kept, too.
 *
 * @type {Plugin}
 */
const lazyProgram = {
  name: "lazy-program",
  setup(bundler) {
    bundler.onLoad({ filter: /\/src\/img\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8")
        .replace('import { main } from "./main.ts";', 'import { loadCompiled } from "./start/load-compiled.ts";')
        .replace("void main(", "void loadCompiled(`${__dirname}/program.js`).main("),
      loader: "ts",
    }));
  },
};

const startDirectory = fileURLToPath(new URL("src/start", import.meta.url));

/**
 * Leaves what threads do in files of their own, one for each kind of job, for the same reason.
 *
 * @type {Plugin}
 */
const lazyThreads = {
  name: "lazy-threads",
  setup(bundler) {
    bundler.onLoad({ filter: /\/operations\/src\/node\/serve-job\.ts$/ }, ({ path }) => ({
      contents: [
        `import { loadCompiled } from ${JSON.stringify(join(startDirectory, "load-compiled.ts"))};`,
        readFileSync(path, "utf8").replaceAll(
          /import \{ (\w+) \} from "\.\/(serve-[a-z]+)\.ts";/g,
          "const $1 = (...told) => loadCompiled(`${__dirname}/$2.js`).$1(...told);",
        ),
      ].join("\n"),
      loader: "ts",
    }));
  },
};

/**
 * Leaves the client of NBD in its file until a name asks for it.
 *
 * @type {Plugin}
 */
const lazyNbd = {
  name: "lazy-nbd",
  setup(bundler) {
    bundler.onLoad({ filter: /\/plugins\/nbd-storages\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(
        /=> import\("@img\/nbd\/node"\)/,
        '=> Promise.resolve(require("./nbd-client.js"))',
      ),
      loader: "ts",
    }));
    bundler.onResolve({ filter: /^\.\/nbd-client\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

/**
 * Leaves what imports plug-ins in its file until there are some.
 *
 * @type {Plugin}
 */
const lazyImports = {
  name: "lazy-imports",
  setup(bundler) {
    bundler.onLoad({ filter: /\/plugins\/load-plugins\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(
        'import("./import-module.ts")',
        'Promise.resolve(require("./import-module.js"))',
      ),
      loader: "ts",
    }));
    bundler.onResolve({ filter: /^\.\/import-module\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

/**
 * Leaves the codecs in their file until one is asked for.
 *
 * @type {Plugin}
 */
const lazyCodecs = {
  name: "lazy-codecs",
  setup(bundler) {
    bundler.onResolve({ filter: /^#codecs$/ }, ({ path }) => ({ path, namespace: "lazy-codecs" }));
    bundler.onResolve({ filter: /^\.\/codecs\.js$/, namespace: "lazy-codecs" }, ({ path }) => ({
      path,
      external: true,
    }));
    bundler.onLoad({ filter: /./, namespace: "lazy-codecs" }, () => ({
      contents: `
        const load = () => require("./codecs.js").codecs;
        export const codecs = { get zlib() { return load().zlib; }, get zstd() { return load().zstd; } };
      `,
    }));
  },
};

/** Modules of Node that take milliseconds to load, and that most runs of most verbs have no use for. */
const lateBuiltins = ["crypto", "fs/promises", "module", "tty"];

/**
 * Loads some of Node's modules when one of their functions is called first. Their classes can't be had that way, which fails here.
 *
 * @type {Plugin}
 */
const lazyBuiltins = {
  name: "lazy-builtins",
  setup(bundler) {
    const filter = new RegExp(`^node:(${lateBuiltins.join("|")})$`);
    bundler.onResolve({ filter }, ({ path, namespace }) =>
      namespace === "lazy-builtins"
        ? { path, external: true }
        : { path, namespace: "lazy-builtins", sideEffects: false },
    );
    bundler.onLoad({ filter: /./, namespace: "lazy-builtins" }, async ({ path }) => ({
      contents: Object.entries(await import(path))
        .filter(([name, value]) => typeof value === "function" && /^[a-z]\w*$/.test(name) && name !== "default")
        .map(([name]) => `export function ${name}(...args) { return require("${path}").${name}(...args); }`)
        .join("\n"),
    }));
  },
};

/**
 * Lets files of the program load others by their own `require`, which is what `createRequire` would make from their names once more; and know
 * their directory, which bundles that aren't ES modules have under another name.
 *
 * @type {Plugin}
 */
const ownRequire = {
  name: "own-require",
  setup(bundler) {
    bundler.onLoad({ filter: /\/load-(compiled|koffi)\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8")
        .replaceAll("createRequire(import.meta.url)", "require")
        .replaceAll("import.meta.dirname", "__dirname"),
      loader: "ts",
    }));
  },
};

/**
 * Lets go of the modules of Node that a verb doesn't use.
 *
 * @type {Plugin}
 */
const unusedBuiltins = {
  name: "unused-builtins",
  setup(bundler) {
    bundler.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
  },
};

/**
 * Keeps `lru-cache` from asking for `performance`, which Node makes when it is first asked for. The clock is for entries that age, ours don't.
 *
 * @type {Plugin}
 */
const noClock = {
  name: "no-clock",
  setup(bundler) {
    bundler.onLoad({ filter: /\/lru-cache\/.*\.js$/ }, ({ path }) => ({
      contents: `const performance = undefined;\n${readFileSync(path, "utf8")}`,
    }));
  },
};

/**
 * Leaves out what changes an image and what checks one. `info` opens images for inspection only, where the driver refuses both by itself; what
 * stands here instead is never called.
 *
 * @type {Plugin}
 */
const onlyReading = leavingOut(/\/qcow2\/src\/(write|check|create)\//);

/**
 * Leaves out what opens qcow2 images: that isn't needed to make one, as long as nothing is preallocated and no image is below.
 *
 * @type {Plugin}
 */
const onlyMaking = leavingOut(/\/qcow2\/src\/open\/open-image\.ts$/);

/**
 * Leaves out what reads and writes disks, and what makes and checks images: for giving an image another name for what is below.
 *
 * @type {Plugin}
 */
const onlyNaming = leavingOut(
  new RegExp(
    [
      "qcow2/src/((check|create)/|amend/amend-image|host-regions|vm-state)",
      "qcow2/src/write/(bitmaps/bitmap-changes|clear-clusters|make-empty|preallocate|prepare-write|resize|try-prepare-write|write-compressed)",
      "qcow2/src/write/snapshots/(apply|create|delete)-snapshot",
      "operations/src/rebase/rebase-job",
    ]
      .map((path) => `/packages/${path}`)
      .join("|"),
  ),
);

/**
 * Leaves out files that a program has no use for. What stands there instead is never called.
 *
 * @param {RegExp} files matches their whole names; what they import from each other needs no replacement
 * @returns {Plugin}
 */
function leavingOut(files) {
  return {
    name: "leaving-out",
    setup(bundler) {
      bundler.onResolve({ filter: /^\.\.?\// }, ({ path, importer }) => {
        const target = resolve(dirname(importer), path);
        return files.test(target) && !files.test(importer) ? { path: target, namespace: "left-out" } : undefined;
      });
      bundler.onLoad({ filter: /./, namespace: "left-out" }, ({ path }) => ({
        contents: [...readFileSync(path, "utf8").matchAll(/^export (?:function\*?|class|const) (\w+)/gm)]
          .map(([, name]) => `export function ${name}() { throw new Error("${name} isn't part of this program"); }`)
          .join("\n"),
      }));
    },
  };
}

/** Files of verbs that are made without something that others need, by the name of the source. */
const smallVerbs = { info: onlyReading, "create-empty": onlyMaking, "rebase-unsafe": onlyNaming };

/**
 * @param {import("tsup").Options & { entry: Record<string, string> }} options
 * @returns {import("tsup").Options}
 */
function bundle(options) {
  const program = programBuild({
    format: "cjs",
    // `import.meta.url`
    shims: true,
    clean: false,
    outExtension: () => ({ js: ".js" }),
    // Nobody debugs the published program with them, and there would be one for each verb.
    sourcemap: false,
    inject: [join(startDirectory, "clock.ts")],
    define: { __IMG_VERSION__: JSON.stringify(version) },
    ...options,
    esbuildPlugins: [
      lazyProgram,
      lazyThreads,
      lazyVerbs,
      lazyNbd,
      lazyImports,
      lazyCodecs,
      lazyBuiltins,
      ownRequire,
      unusedBuiltins,
      noClock,
      ...(options.esbuildPlugins ?? []),
    ],
  });
  return {
    ...program,
    esbuildOptions(esbuild, context) {
      program.esbuildOptions?.(esbuild, context);
      // Names stay: a stack trace in a report has to be readable.
      esbuild.minifyWhitespace = true;
      esbuild.minifySyntax = true;
    },
  };
}

/**
 * The pages of the manual, as the program prints them.
 *
 * @param {string} outDir
 */
function writeManual(outDir) {
  const program = join(outDir, "img.js");
  const directory = join(outDir, "man");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  for (const verb of ["", ...verbs]) {
    const page = execFileSync(process.execPath, [program, "help", "--man", ...(verb === "" ? [] : [verb])]);
    writeFileSync(join(directory, verb === "" ? "img.1" : `img-${verb}.1`), page);
  }
}

/** @param {import("tsup").Options} options as given on the command line */
export default ({ outDir = fileURLToPath(new URL("dist", import.meta.url)) }) => ({
  ...bundle({
    outDir,
    entry: {
      img: "src/img.ts",
      program: "src/main.ts",
      codecs: "../../packages/qcow2/src/codecs/node.ts",
      "import-module": "src/plugins/import-module.ts",
      "nbd-client": "../../packages/nbd/src/node/open-nbd.ts",
      "node-worker": "../../packages/operations/src/node-worker.ts",
      ...Object.fromEntries(
        ["serve-comparison", "serve-copying", "serve-reads"].map((name) => [
          name,
          `../../packages/operations/src/node/${name}.ts`,
        ]),
      ),
      ...Object.fromEntries(
        verbs
          .filter((verb) => !Object.hasOwn(smallVerbs, verb))
          .map((verb) => [`verb-${verb}`, `src/verbs/${verb}.ts`]),
      ),
    },
    clean: true,
  }),
  async onSuccess() {
    for (const [name, plugin] of Object.entries(smallVerbs)) {
      await build(
        bundle({
          entry: { [`verb-${name}`]: `src/verbs/${name}.ts` },
          esbuildPlugins: [plugin],
          outDir,
          config: false,
        }),
      );
    }
    // The sources are ES modules, what is made of them isn't.
    writeFileSync(join(outDir, "package.json"), '{ "type": "commonjs" }\n');
    writeManual(outDir);
  },
});
