import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({
  entry: { index: "src/index.ts", "codecs/node": "src/codecs/node.ts", "codecs/portable": "src/codecs/portable.ts" },
  external: ["#codecs"],
});
