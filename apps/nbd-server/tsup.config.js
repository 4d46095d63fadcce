import { readFileSync } from "node:fs";
import { programBuild } from "@img/tooling/tsup";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));

export default programBuild({
  entry: { "img-nbd": "src/img-nbd.ts" },
  // what is loaded late, the codecs and plug-ins' formats, stays in files of its own
  splitting: true,
  sourcemap: false,
  define: { __IMG_VERSION__: JSON.stringify(version) },
});
