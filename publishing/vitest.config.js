import { packageTests } from "@img/tooling/vitest";

export default packageTests({ test: { globalSetup: ["test/support/packed-packages.ts"] } });
