import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({
  entry: { api: "src/api.ts" },
  dts: false,
  sourcemap: false,
  external: ["@microsoft/api-extractor"],
});
