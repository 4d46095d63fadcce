import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/format-core", directory: import.meta.dirname, bareYield: ["src/io/**"] });
