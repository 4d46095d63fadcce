import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/storage-fs", directory: import.meta.dirname });
