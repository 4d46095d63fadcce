import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/raw", directory: import.meta.dirname });
