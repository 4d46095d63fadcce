import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What a program did. */
export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const program = fileURLToPath(new URL("../../dist/img.js", import.meta.url));

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): ToolResult {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...env },
  });
  if (error !== undefined) {
    throw error;
  }
  return { code: status, stdout, stderr };
}

/** Runs the built command line. */
export function img(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): ToolResult {
  return run(process.execPath, [program, ...args], cwd, env);
}

/** Runs the real qemu-img. */
export function qemuImg(args: readonly string[], cwd: string): ToolResult {
  return run("qemu-img", args, cwd, {});
}

/** Runs a tool that makes test images. @throws Error when it fails */
export function tool(command: string, args: readonly string[], cwd: string): string {
  for (let attempt = 1; ; attempt++) {
    const { code, stdout, stderr } = run(command, args, cwd, {});
    if (code === 0) {
      return stdout;
    }
    // qemu-img measures the processor to make a LUKS key, which fails now and then on a busy one
    if (attempt === 10 || !stderr.includes("Unable to get accurate CPU usage")) {
      throw new Error(`${command} ${args.join(" ")}: ${stderr || stdout}`);
    }
  }
}
