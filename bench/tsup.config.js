import { programBuild } from "@img/tooling/tsup";

export default programBuild({ entry: { main: "src/main.ts", serve: "src/serve.ts" } });
