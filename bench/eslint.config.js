import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/bench", directory: import.meta.dirname });
