import { runTool } from "./run-tool.ts";

/** Runs the commands on a qcow2 image, in one process of the real tool. */
export function runProgram(path: string, commands: readonly string[]): void {
  if (commands.length > 0) {
    runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), path]);
  }
}
