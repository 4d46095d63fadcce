import tseslint from "typescript-eslint";

/**
 * @param {{ name: string, directory: string }} options
 * @returns {import("typescript-eslint").ConfigArray}
 */
export function packageLint({ directory }) {
  return [
    { ignores: ["dist/**", "test-results/**", ".cache/**"] },
    ...tseslint.configs.strictTypeChecked,
    { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: directory } } },
  ];
}
