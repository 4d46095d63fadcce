import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/interop", directory: import.meta.dirname });
