import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { runProgram, type Outcome } from "./run-program.ts";

/** What isn't ours is taken from npm's cache where it is there, and a registry that doesn't answer is asked again instead of being waited for. */
const PATIENCE = ["prefer-offline=true", "fetch-timeout=30000", "fetch-retries=5", "fetch-retry-mintimeout=1000"];

/** Somebody who uses the packages: an empty directory outside of the workspace, and the Node on their `PATH`. */
export class Stranger implements Disposable {
  /** Absolute. */
  readonly directory: string = mkdtempSync(join(tmpdir(), "img-stranger-"));
  readonly #env: NodeJS.ProcessEnv;

  /**
   * @param registry where our packages come from; others come from where they always come from
   * @param nodeDirectory of the `node` to use; default the one that runs
   */
  constructor(registry: string, nodeDirectory?: string) {
    this.#env = environment(nodeDirectory);
    this.write("package.json", `{ "private": true, "type": "module" }\n`);
    this.write(
      ".npmrc",
      [`@img:registry=${registry}`, "engine-strict=true", "audit=false", "fund=false", ...PATIENCE, ""].join("\n"),
    );
  }

  file(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text);
  }

  /** Copies a file or a directory from elsewhere. */
  bring(from: string, name: string): void {
    cpSync(from, this.file(name), { recursive: true });
  }

  /** @throws Error with what was said when it ends with anything but 0 */
  async run(program: string, ...args: string[]): Promise<Outcome> {
    const outcome = await this.try(program, ...args);
    if (outcome.code === 0) return outcome;
    throw new Error(`${program} ${args.join(" ")} ended with ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  }

  try(program: string, ...args: string[]): Promise<Outcome> {
    return runProgram(program, args, { cwd: this.directory, env: this.#env });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What the programs of a stranger find around them. */
function environment(nodeDirectory: string | undefined): NodeJS.ProcessEnv {
  const env = withoutPackageManagers();
  if (nodeDirectory === undefined) return env;
  // npm looks beside the Node that runs it for what holds for the whole machine: its certificates, its proxy.
  const { stdout } = spawnSync("npm", ["config", "get", "globalconfig"], { env, encoding: "utf8" });
  return {
    ...env,
    PATH: [nodeDirectory, env["PATH"]].join(delimiter),
    npm_config_globalconfig: stdout.trim(),
  };
}

/** Without what the package managers that started the tests say to their children. */
function withoutPackageManagers(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_(ENV|OPTIONS|PATH|V8_COVERAGE)$|VITEST|INIT_CWD)/i.test(name),
  );
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((part) => !part.includes("node_modules"));
  return { ...Object.fromEntries(entries), PATH: path.join(delimiter) };
}
