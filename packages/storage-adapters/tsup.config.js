import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({ entry: { index: "src/index.ts" } });
