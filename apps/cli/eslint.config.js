import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/cli", directory: import.meta.dirname });
