import { execFile } from "node:child_process";

/** Runs a program to its end, at most a minute. */
export function runTool(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number | string; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
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
