import { build, type BuildOptions, type BuildResult } from "esbuild";

/** A bundle for browsers, and what went into it. */
export interface Bundle {
  readonly code: Uint8Array;
  /** Bytes that each source takes in the bundle, by its path. */
  readonly inputs: ReadonlyMap<string, number>;
}

/** What to bundle: a file, or a program given as text. */
export type BundleEntry = { readonly file: string } | { readonly program: string };

/** Options of {@link bundle}. */
export interface BundleOptions {
  /** `true`: our packages as they are built and published; `false` (the default): their sources. */
  readonly built?: boolean;
  /** Default `false`. */
  readonly minify?: boolean;
  /** `false`: other packages stay imports. Default `true`: they are bundled, too. */
  readonly dependencies?: boolean;
  /** Files to take instead of modules; for tests that were written for Node. Default: none. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Files whose exports stand in for global names. Default: none. */
  readonly globals?: readonly string[];
}

/** Where imports are resolved from. */
const directory = new URL("../..", import.meta.url).pathname;

/**
 * Bundles for browsers as anybody would, with nothing that stands in for Node.
 * @throws Error naming the imports that can't be resolved, as those of Node can't
 */
export async function bundle(entry: BundleEntry, options: BundleOptions = {}): Promise<Bundle> {
  const settings: BuildOptions = {
    ...("file" in entry
      ? { entryPoints: [entry.file] }
      : { stdin: { contents: entry.program, resolveDir: directory } }),
    absWorkingDir: directory,
    bundle: true,
    platform: "browser",
    format: "esm",
    target: "es2022",
    conditions: options.built === true ? [] : ["@img/source"],
    minify: options.minify ?? false,
    packages: options.dependencies === false ? "external" : "bundle",
    alias: { ...options.instead },
    inject: [...(options.globals ?? [])],
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "silent",
  };
  return describe(await build(settings));
}

function describe({ outputFiles, metafile }: BuildResult): Bundle {
  const code = outputFiles?.[0]?.contents;
  const output = Object.values(metafile?.outputs ?? {})[0];
  if (code === undefined || output === undefined) throw new Error("the bundler gave nothing");
  const inputs = Object.entries(output.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput] as const);
  return { code, inputs: new Map(inputs) };
}
