import { execFile } from "node:child_process";

/**
 * Runs a program while this process serves it, and waits for it: at most a minute.
 * @returns what it wrote to its standard output
 * @throws Error with all that it said when it fails, can't be run or takes too long
 */
export function runClient(command: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
      } else {
        const { code, signal } = error;
        const called = `${command} ${args.join(" ").slice(0, 500)}`;
        // not as the cause: its message has all the arguments in it again
        reject(new Error(`${called}\nended with ${String(code ?? signal)}: ${stderr}${stdout}`));
      }
    });
  });
}
