import { programBuild } from "@img/tooling/tsup";

export default programBuild({ entry: { img: "src/img.ts" } });
