import { packageTests } from "@img/tooling/vitest";

export default packageTests({
  test: {
    globalSetup: ["test/support/packed-packages.ts"],
    // Installs fetch what isn't ours from the registry.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
