import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/storage-adapters", directory: import.meta.dirname });
