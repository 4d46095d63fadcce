import { execFile } from "node:child_process";

/** Milliseconds that a program gets: it is stopped afterwards. */
const patience = 300_000;

/** nbdcopy 1.14 sometimes waits for ever for what it has got already. It gets less time, and another try. */
const nbdcopyPatience = 60_000;

interface ToolResult {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function runTool(command: string, args: readonly string[]): Promise<ToolResult> {
  const first = command === "nbdcopy" ? await runOnce(command, args, nbdcopyPatience) : undefined;
  return first !== undefined && first.code !== "killed" ? first : await runOnce(command, args, patience);
}

function runOnce(command: string, args: readonly string[], timeout: number): Promise<ToolResult> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? (error === null ? 0 : "killed"), stdout, stderr });
    });
  });
}

/** The same, but must succeed. */
export async function tool(command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTool(command, args);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(" ")}: ${String(code)}\n${stderr}${stdout}`);
  }
  return stdout;
}
