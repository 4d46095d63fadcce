import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({
  entry: { index: "src/index.ts", "zero-node": "src/zero-node.ts", "zero-portable": "src/zero-portable.ts" },
  external: ["#zero"],
});
