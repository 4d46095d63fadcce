import { packageLint } from "./eslint/index.js";

export default [
  ...packageLint({ name: "@img/tooling", directory: import.meta.dirname }),
  // Here the tests import JavaScript.
  { files: ["test/**"], rules: { "no-restricted-syntax": "off" } },
];
