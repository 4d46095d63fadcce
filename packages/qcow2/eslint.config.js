import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/qcow2", directory: import.meta.dirname });
