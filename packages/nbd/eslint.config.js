import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/nbd", directory: import.meta.dirname });
