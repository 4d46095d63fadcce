import { programBuild } from "@img/tooling/tsup";

export default [
  programBuild({
    entry: { main: "src/main.ts", serve: "src/children/serve.ts", requests: "src/children/requests.ts" },
    clean: ["!bare-*"],
  }),
  // In the older module format, which Node starts faster: nothing but the least time is wanted of them.
  programBuild({
    entry: {
      "bare-copy": "src/children/bare/copy.ts",
      "bare-recode": "src/children/bare/recode.ts",
      "bare-change-file": "src/children/bare/change-file.ts",
      "bare-requests": "src/children/bare/requests.ts",
      "bare-serve": "src/children/bare/serve.ts",
    },
    format: "cjs",
    clean: false,
  }),
];
