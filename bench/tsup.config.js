import { programBuild } from "@img/tooling/tsup";

export default programBuild({
  entry: { main: "src/main.ts", serve: "src/children/serve.ts", requests: "src/children/requests.ts" },
});
