import { readFileSync } from "node:fs";
import { programBuild } from "@img/tooling/tsup";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

export default programBuild({
  entry: { img: "src/img.ts", "node-worker": "../../packages/operations/src/node-worker.ts" },
  // what a verb doesn't need isn't loaded
  splitting: true,
  define: { __IMG_VERSION__: JSON.stringify(version) },
});
