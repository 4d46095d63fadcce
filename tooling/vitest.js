import { defineConfig, mergeConfig } from "vitest/config";

/** What Vite itself uses for server-side code, behind our own condition for sources. */
const CONDITIONS = ["@img/source", "module", "node", "development|production"];

/** Continuous integration tries a failed test once more, as it runs on machines that others load, and names those that needed it at its end. */
const RETRIES = process.env.CI === undefined ? 0 : 1;

/**
 * The vitest configuration that every package starts from: sources instead of builds, few workers, a JSON report that the
 * closing summary counts.
 *
 * @param {import("vitest/config").ViteUserConfig} [overrides] merged over the defaults
 * @returns {import("vitest/config").ViteUserConfig}
 */
export function packageTests(overrides = {}) {
  return mergeConfig(
    defineConfig({
      resolve: { conditions: CONDITIONS },
      ssr: { resolve: { conditions: CONDITIONS, externalConditions: ["node"] } },
      test: {
        include: ["test/**/*.test.ts"],
        environment: "node",
        pool: "forks",
        maxWorkers: 2,
        // Against hanging only: a busy machine must not fail a property that runs thousands of cases, or QEMU's tools.
        testTimeout: 600_000,
        hookTimeout: 600_000,
        retry: RETRIES,
        passWithNoTests: true,
        reporters: ["default", "json"],
        outputFile: { json: "test-results/vitest.json" },
      },
    }),
    overrides,
  );
}
