import { packageBuild } from "@img/tooling/tsup";

export default packageBuild({
  entry: {
    index: "src/index.ts",
    "node-worker-thread": "src/node-worker-thread.ts",
    "node-bridge-worker": "src/node-bridge-worker.ts",
    "web-worker-thread": "src/web-worker-thread.ts",
    "web-bridge-worker": "src/web-bridge-worker.ts",
  },
  external: ["#worker"],
});
