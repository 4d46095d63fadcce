import { programBuild } from "@img/tooling/tsup";

const bare = ["copy", "recode", "change-file", "requests", "serve"];

export default [
  programBuild({
    entry: { main: "src/main.ts", serve: "src/children/serve.ts", requests: "src/children/requests.ts" },
    clean: ["!bare-*"],
  }),
  // In the older module format, which Node starts faster: nothing but the least time is wanted of them.
  programBuild({
    entry: Object.fromEntries(bare.map((name) => [`bare-${name}`, `src/children/bare/${name}.ts`])),
    format: "cjs",
    clean: false,
  }),
];
