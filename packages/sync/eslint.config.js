import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/sync", directory: import.meta.dirname });
