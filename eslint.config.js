import { packageLint } from "./tooling/eslint/index.js";

// For scripts/ only: every package has its own.
export default packageLint({ name: "img-monorepo", directory: import.meta.dirname });
