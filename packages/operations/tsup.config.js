import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({
  entry: {
    index: "src/index.ts",
    "first-difference-portable": "src/compare/first-difference-portable.ts",
    node: "src/node.ts",
    "node-first-difference": "src/node-first-difference.ts",
    "node-worker": "src/node-worker.ts",
  },
  external: ["#first-difference"],
});
