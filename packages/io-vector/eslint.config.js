import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/io-vector", directory: import.meta.dirname });
