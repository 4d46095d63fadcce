/**
 * What one package of the workspace may import.
 *
 * @typedef {object} PackageRule
 * @property {readonly string[]} imports the packages of ours that its sources may import
 * @property {readonly string[]} node globs, relative to the package, of the sources that may use Node; `["**"]`: all of them,
 *   and then only such sources of other packages may import this one
 */

const CORE = ["@img/io-vector", "@img/format-core"];
const EVERYTHING = /** @type {const} */ (["**"]);
const NODE_ENTRIES = /** @type {const} */ (["src/node.ts", "src/node-*.ts", "src/node/**"]);

/**
 * The direction of imports, the one table that the linter and `turbo boundaries` follow. A package that is missing here may
 * import nothing of ours.
 *
 * @type {Readonly<Record<string, PackageRule>>}
 */
export const PACKAGES = {
  "@img/io-vector": { imports: [], node: ["src/zero-node.ts"] },
  "@img/format-core": { imports: ["@img/io-vector"], node: [] },
  "@img/raw": { imports: CORE, node: [] },
  "@img/qcow2": { imports: CORE, node: ["src/codecs/node*.ts"] },
  "@img/storage-adapters": { imports: CORE, node: [] },
  "@img/storage-fs": { imports: CORE, node: EVERYTHING },
  "@img/sync": { imports: CORE, node: NODE_ENTRIES },
  "@img/testing": { imports: CORE, node: EVERYTHING },
  "@img/operations": { imports: [...CORE, "@img/raw", "@img/qcow2", "@img/storage-fs"], node: NODE_ENTRIES },
  "@img/nbd": { imports: CORE, node: NODE_ENTRIES },
  "@img/cli": {
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      "@img/storage-fs",
      "@img/operations",
      "@img/nbd",
    ],
    node: EVERYTHING,
  },
  "@img/nbd-server": {
    // The other program lends it how command lines are read and images named.
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      "@img/storage-fs",
      "@img/operations",
      "@img/nbd",
      "@img/cli",
    ],
    node: EVERYTHING,
  },
  "@img/interop": {
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      "@img/storage-fs",
      "@img/sync",
      "@img/operations",
      "@img/nbd",
      "@img/testing",
    ],
    node: EVERYTHING,
  },
  "@img/interop-browser": {
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      // what operations depend on counts as well
      "@img/storage-fs",
      "@img/sync",
      "@img/operations",
      "@img/nbd",
    ],
    node: ["src/host/**"],
  },
  "@img/bench": {
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      "@img/storage-fs",
      "@img/sync",
      "@img/operations",
      "@img/nbd",
      "@img/testing",
    ],
    node: EVERYTHING,
  },
  // Imports nothing: it builds, packs and installs all that is published.
  // Imports none of them: it builds, packs and installs all that are published.
  "@img/publishing": {
    imports: [
      ...CORE,
      "@img/raw",
      "@img/qcow2",
      "@img/storage-adapters",
      "@img/storage-fs",
      "@img/sync",
      "@img/nbd",
      "@img/operations",
      "@img/testing",
    ],
    node: EVERYTHING,
  },
  "@img/tooling": { imports: [], node: EVERYTHING },
};

/** What tests and configuration files may import besides what the sources of their package may. */
export const FOR_TESTS = ["@img/testing", "@img/tooling"];
