// Every command of the root package: node scripts/run.mjs <task> [arguments]. Needs Node and npm, fetches the rest.
import { install } from "./install.mjs";
import { turbo } from "./turbo.mjs";

/**
 * What `check` runs, in one go so that turbo shares the builds among them. What is alike in many packages is checked at once: by
 * itself each package would look again at the sources of those below it.
 */
const CHECKS = [
  "lint:workspace",
  "@img/interop-browser#lint",
  "@img/tooling#lint",
  "typecheck:sources",
  "typecheck:workspace",
  "@img/interop-browser#typecheck",
  "@img/tooling#typecheck",
  "publint",
  "attw",
  "api:check",
  "format:check",
  "knip",
  "boundaries",
  "lint:scripts",
  "typecheck:scripts",
];

/**
 * Seeded tests do the same in every run, so continuous integration, which runs often, does half of it, unless told otherwise.
 *
 * @returns {Record<string, string>}
 */
function seededWork() {
  return process.env.CI === undefined ? {} : { IMG_INTEROP_SCALE: process.env.IMG_INTEROP_SCALE ?? "0.5" };
}

/** @param {readonly string[]} args */
function check(args) {
  return turbo(["run", ...CHECKS, "--continue", "--output-logs", "errors-only", ...args]);
}

/** @type {Readonly<Record<string, (args: readonly string[]) => number | Promise<number>>>} */
const tasks = {
  async test(args) {
    const { ensureTools } = await import("./ensure-tools.mjs");
    return turbo(["run", "test", ...args], { env: { IMG_TOOLS: ensureTools(), ...seededWork() } });
  },
  check,
  async release(args) {
    const checked = check([]);
    if (checked !== 0) return checked;
    const { publishPackages } = await import("./publish-packages.mjs");
    return publishPackages(args);
  },
  async start(args) {
    const built = turbo(["run", "build", "--filter", "@img/cli"], { quiet: true });
    if (built !== 0) return built;
    const { start } = await import("./start.mjs");
    return await start(args);
  },
  api: (args) => turbo(["run", "api", "--output-logs", "new-only", ...(args.length > 0 ? ["--", ...args] : [])]),
  bench: (args) => turbo(["run", "bench", "--output-logs", "new-only", ...(args.length > 0 ? ["--", ...args] : [])]),
};

const [task, ...args] = process.argv.slice(2);
if (task === undefined) {
  process.stderr.write("usage: node scripts/run.mjs <task> [arguments]\n");
  process.exitCode = 2;
} else {
  try {
    install();
    process.exitCode = await (tasks[task]?.(args) ?? turbo(["run", task, ...args]));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
