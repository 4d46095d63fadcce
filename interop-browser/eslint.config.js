import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/interop-browser", directory: import.meta.dirname });
