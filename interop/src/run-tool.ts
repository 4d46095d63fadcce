import { spawnSync } from "node:child_process";

/** What a tool that ran said. */
export interface ToolResult {
  /** `null`: ended by a signal or by the time limit. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@link runTool}. */
export interface RunToolOptions {
  /** Text for its standard input. Default: none. */
  readonly input?: string;
  /** Milliseconds until it is killed. Default 300 000. */
  readonly timeout?: number;
  /** Accept exit codes other than 0. Default `false`. */
  readonly mayFail?: boolean;
}

/**
 * Runs one of the installed qemu tools and waits for it.
 * @throws Error when it can't be run, or fails and `mayFail` isn't set
 */
export function runTool(
  tool: "qemu-img" | "qemu-io",
  args: readonly string[],
  options: RunToolOptions = {},
): ToolResult {
  const child = spawnSync(tool, args, {
    encoding: "utf8",
    timeout: options.timeout ?? 300_000,
    killSignal: "SIGKILL",
    maxBuffer: 256 * 1024 * 1024,
    ...(options.input === undefined ? { stdio: ["ignore", "pipe", "pipe"] as const } : { input: options.input }),
  });
  if (child.error !== undefined && (child.error as NodeJS.ErrnoException).code !== "ETIMEDOUT") {
    throw new Error(`cannot run ${tool}: ${child.error.message}`, { cause: child.error });
  }
  if (child.status !== 0 && options.mayFail !== true) {
    const said = `${child.stderr}${child.stdout}`.trim().slice(0, 2000);
    throw new Error(`${tool} ${args.join(" ")}\nended with ${String(child.status ?? child.signal)}: ${said}`);
  }
  return { exitCode: child.status, stdout: child.stdout, stderr: child.stderr };
}
