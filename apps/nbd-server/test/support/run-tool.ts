import { execFile } from "node:child_process";

/** What a program did. */
export interface ToolResult {
  /** The exit code, or the name of what ended it. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Milliseconds that a program gets: it is stopped afterwards. */
const patience = 300_000;

/** nbdcopy 1.14 sometimes waits for ever for what it has got already. It gets less time, and another try. */
const nbdcopyPatience = 60_000;

/** Runs a program to its end. */
export async function runTool(command: string, args: readonly string[], cwd?: string): Promise<ToolResult> {
  const first = command === "nbdcopy" ? await runOnce(command, args, cwd, nbdcopyPatience) : undefined;
  return first !== undefined && first.code !== "SIGTERM" ? first : await runOnce(command, args, cwd, patience);
}

function runOnce(
  command: string,
  args: readonly string[],
  cwd: string | undefined,
  timeout: number,
): Promise<ToolResult> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? "killed"), stdout, stderr });
    });
  });
}

/** The same for a program that must succeed: what it has printed. */
export async function tool(command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTool(command, args);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ").slice(0, 500)}\nended with ${String(code)}: ${stderr}${stdout}`);
  }
  return stdout;
}

/** A script of libnbd's shell; `h` is a handle that isn't connected yet. What it prints. */
export function nbdsh(script: string): Promise<string> {
  // the program `nbdsh` takes the first Python of the PATH, which may not be the system's
  return tool("/usr/bin/python3", "-m", "nbd", "--command", script);
}
