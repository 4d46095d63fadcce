import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ToolResult } from "./run-tool.ts";

const program = fileURLToPath(new URL("../../dist/img.js", import.meta.url));

/**
 * Makes `directory` a place where the names `qemu-img`, `qemu-io` and `img` are ours.
 * @returns the environment in which a shell finds them first
 */
export function ourNames(directory: string): NodeJS.ProcessEnv {
  mkdirSync(directory, { recursive: true });
  for (const name of ["qemu-img", "qemu-io", "img"]) {
    symlinkSync(program, join(directory, name));
  }
  // the script's first line asks for node by name
  const path = [directory, dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
  return { ...process.env, PATH: path };
}

/** Runs a program that is looked up by its name. */
export function call(words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): ToolResult {
  const [command = "", ...args] = words;
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", env });
  if (error !== undefined) {
    throw error;
  }
  return { code: status, stdout, stderr };
}
