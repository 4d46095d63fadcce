import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/operations", directory: import.meta.dirname });
