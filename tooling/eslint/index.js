import { dirname, join } from "node:path";
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";
import { FOR_TESTS, PACKAGES } from "../packages.js";
import { noFloatingIo } from "./rules/no-floating-io.js";
import { packageDirection } from "./rules/package-direction.js";

/** Rules written with typescript-eslint's types are what ESLint wants, which its own types do not know. */
const img = /** @type {import("eslint").ESLint.Plugin} */ (
  /** @type {unknown} */ ({
    meta: { name: "img" },
    rules: { "no-floating-io": noFloatingIo, "package-direction": packageDirection },
  })
);

const ROOT = dirname(dirname(import.meta.dirname));

/** What style asks for and no preset has. The messages say what to do instead. */
const SYNTAX = [
  { selector: "TSEnumDeclaration", message: "use a union of strings" },
  { selector: "[accessibility='private'][kind!='constructor']", message: "use #private" },
];
const EXTENSION = {
  selector: "ImportDeclaration[source.value=/^[.].*[.]js$/]",
  message: "imports between our files end in .ts",
};
const NAMED_EXPORTS = { selector: "ExportDefaultDeclaration", message: "use a named export" };
const BARRELS = {
  selector: ":matches(ExportAllDeclaration, ExportNamedDeclaration[source])",
  message: "only a package's entry exports again what another file exports",
};

/** Node's globals; the type checker does not know them in portable code, but a cast or a comment could hide them. */
const NODE_GLOBALS = ["process", "Buffer", "global", "require", "module", "__dirname", "__filename", "setImmediate"];

/**
 * The ESLint configuration of one package.
 *
 * @param {{ name: string, directory: string, bareYield?: string[] }} options `name` is the package's name in the table of
 *   packages, `directory` its absolute path, `bareYield` globs of the files that may `yield` steps
 * @returns {import("eslint").Linter.Config[]}
 */
export function packageLint({ name, directory, bareYield = [] }) {
  const node = [...(PACKAGES[name]?.node ?? [])];
  return defineConfig(
    { ignores: ["dist/**", "test-results/**", ".cache/**", "coverage/**", "**/*.d.ts"] },
    { linterOptions: { reportUnusedDisableDirectives: "error" } },
    js.configs.recommended,
    tseslint.configs.strictTypeChecked,
    tseslint.configs.stylisticTypeChecked,
    { languageOptions: { parserOptions: { ...typeInformation(directory), tsconfigRootDir: directory } } },
    { plugins: { img }, rules: { ...PRESET_CHANGES, ...ADDED_RULES } },
    { rules: { "img/package-direction": ["error", { name, node: true, also: FOR_TESTS }] } },
    { files: ["src/**"], rules: { "img/package-direction": ["error", { name, node: false, also: [] }] } },
    { files: ["src/**"], rules: { "no-restricted-globals": ["error", ...NODE_GLOBALS] } },
    node.length === 0
      ? []
      : {
          files: node.map((glob) => (glob === "**" ? "src/**" : glob)),
          rules: {
            "img/package-direction": ["error", { name, node: true, also: [] }],
            "no-restricted-globals": ["error", "global", "require", "module", "__dirname", "__filename"],
          },
        },
    { files: ["src/**"], rules: SOURCE_RULES },
    {
      files: ["src/index.ts", "src/node.ts"],
      rules: { "no-restricted-syntax": ["error", ...SYNTAX, EXTENSION, NAMED_EXPORTS] },
    },
    bareYield.length === 0 ? [] : { files: bareYield, rules: { "img/no-floating-io": ["error", { bareYield: true }] } },
    { files: ["test/**"], rules: TEST_RULES },
    // Casts in comments are the compiler's to check; the linter does not see them.
    {
      files: ["**/*.js", "**/*.mjs"],
      rules: { "@typescript-eslint/no-unsafe-assignment": "off", "@typescript-eslint/no-unsafe-return": "off" },
    },
    // Plain JavaScript is configuration: checked, but without what only TypeScript can write down.
    {
      files: ["**/*.config.js"],
      extends: [tseslint.configs.disableTypeChecked],
      rules: { "img/no-floating-io": "off" },
    },
  );
}

/**
 * Who lints many packages at once, which is from the root, has one program with all of their files, where types are found out once. By itself each
 * package would do that again for those below it.
 *
 * @param {string} directory of the package
 * @returns {{ project: string } | { projectService: true }}
 */
function typeInformation(directory) {
  const together = process.cwd() === ROOT && directory !== ROOT;
  return together ? { project: join(ROOT, "tooling", "tsconfig", "all.json") } : { projectService: true };
}

/**
 * Where the presets contradict our style.
 *
 * @type {import("eslint").Linter.RulesRecord}
 */
const PRESET_CHANGES = {
  // Numbers in messages are wanted as they are.
  "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
  "@typescript-eslint/no-unnecessary-condition": ["error", { allowConstantLoopConditions: "only-allowed-literals" }],
  "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
  // What was caught, or is an AbortSignal's reason, is passed on as it is.
  "@typescript-eslint/only-throw-error": ["error", { allowThrowingAny: false, allowThrowingUnknown: true }],
  "@typescript-eslint/prefer-promise-reject-errors": ["error", { allowThrowingAny: false, allowThrowingUnknown: true }],
  // An operation that has nothing to wait for is still an Io, and still async where a contract says so.
  "require-yield": "off",
  "@typescript-eslint/require-await": "off",
  // Isolated declarations need the annotation in many of the places where these two call it redundant.
  "@typescript-eslint/no-inferrable-types": "off",
  "@typescript-eslint/prefer-as-const": "off",
  // The compiler knows all names.
  "no-undef": "off",
  "@typescript-eslint/no-unused-vars": [
    "error",
    { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrors: "all", ignoreRestSiblings: true },
  ],
};

/** @type {import("eslint").Linter.RulesRecord} */
const ADDED_RULES = {
  "img/no-floating-io": "error",
  "no-restricted-syntax": ["error", ...SYNTAX],
  eqeqeq: "error",
  "no-var": "error",
  "prefer-const": "error",
  "object-shorthand": "error",
  "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
};

/** @type {import("eslint").Linter.RulesRecord} */
const SOURCE_RULES = {
  "no-restricted-syntax": ["error", ...SYNTAX, EXTENSION, NAMED_EXPORTS, BARRELS],
  "@typescript-eslint/explicit-module-boundary-types": "error",
};

/** @type {import("eslint").Linter.RulesRecord} */
const TEST_RULES = {
  "no-restricted-syntax": ["error", ...SYNTAX, EXTENSION],
  "@typescript-eslint/no-non-null-assertion": "off",
  "@typescript-eslint/no-empty-function": "off",
  "@typescript-eslint/unbound-method": "off",
};
