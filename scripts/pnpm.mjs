import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { root } from "./root.mjs";

const windows = process.platform === "win32";
const version = pinnedVersion();

/** Remembers where npx keeps pnpm, because asking npx again costs about a second for every command. */
const memo = join(root, "node_modules", ".cache", "img", `pnpm-${version}`);

/** @type {NodeJS.ProcessEnv | undefined} */
let environment;

/**
 * The environment in which `pnpm` is the pinned version: the one on `PATH` if it is that, else the one that npx fetches.
 * Corepack is not asked, because old versions of it refuse the registry's newer signatures.
 *
 * @returns {NodeJS.ProcessEnv}
 */
export function pnpmEnvironment() {
  environment ??= findEnvironment();
  return environment;
}

function findEnvironment() {
  const env = {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: "1",
    DO_NOT_TRACK: "1",
    COREPACK_ENABLE_DOWNLOAD_PROMPT: "0",
    // What npm says about itself would be taken for pnpm's own by the scripts below it.
    npm_config_user_agent: undefined,
  };
  if (versionIn(env) === version) return env;
  if (existsSync(memo)) {
    const remembered = withPath(env, readFileSync(memo, "utf8"));
    if (versionIn(remembered) === version) return remembered;
  }
  const directory = fetchWithNpx(env);
  const fetched = withPath(env, directory);
  if (versionIn(fetched) !== version) throw new Error(`pnpm ${version}: npx put something else into ${directory}`);
  return fetched;
}

/** Keeps the directory for the next command. Called after an install, which may have replaced `node_modules`. */
export function rememberPnpm() {
  const first = pnpmEnvironment().PATH?.split(delimiter)[0];
  if (first === undefined || first === process.env.PATH?.split(delimiter)[0]) return;
  mkdirSync(dirname(memo), { recursive: true });
  writeFileSync(memo, first);
}

function pinnedVersion() {
  const manifest = /** @type {{ packageManager: string }} */ (
    JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  );
  return manifest.packageManager.replace(/^pnpm@/, "").replace(/\+.*$/, "");
}

/** @param {NodeJS.ProcessEnv} env */
function versionIn(env) {
  const run = spawnSync("pnpm", ["--version"], {
    cwd: root,
    // Another version of pnpm must say its own number instead of fetching ours into a place of its own.
    env: { ...env, npm_config_manage_package_manager_versions: "false" },
    encoding: "utf8",
    shell: windows,
  });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** @param {NodeJS.ProcessEnv} env @param {string} directory */
function withPath(env, directory) {
  return { ...env, PATH: `${directory}${delimiter}${env.PATH ?? ""}` };
}

/** @param {NodeJS.ProcessEnv} env */
function fetchWithNpx(env) {
  const print = windows ? "where pnpm" : "command -v pnpm";
  const run = spawnSync("npx", ["--yes", "--package", `pnpm@${version}`, "--call", print], {
    cwd: root,
    env,
    encoding: "utf8",
    shell: windows,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const found = run.status === 0 ? run.stdout.trim().split(/\r?\n/)[0] : undefined;
  if (!found) throw new Error(`pnpm ${version} is neither on PATH nor could npx fetch it`);
  return dirname(found);
}
