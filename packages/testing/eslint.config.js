import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/testing", directory: import.meta.dirname });
