import { packageTests } from "@img/tooling/vitest";

// real tools on a busy machine: a test that hangs is found by these, one that is slow is not
export default packageTests({ test: { testTimeout: 120_000, hookTimeout: 120_000 } });
