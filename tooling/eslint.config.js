import { packageLint } from "./eslint/index.js";

export default packageLint({ name: "@img/tooling", directory: import.meta.dirname });
