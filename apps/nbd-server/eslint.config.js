import { packageLint } from "@img/tooling/eslint";

export default packageLint({ name: "@img/nbd-server", directory: import.meta.dirname });
