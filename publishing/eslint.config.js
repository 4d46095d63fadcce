import { packageLint } from "@img/tooling/eslint";

export default [
  // Programs of strangers, who have none of our settings.
  { ignores: ["test/stranger/**"] },
  ...packageLint({ name: "@img/publishing", directory: import.meta.dirname }),
];
