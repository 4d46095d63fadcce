import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { root } from "./root.mjs";

/**
 * Runs the command line with arguments, or the demonstration without.
 *
 * @param {readonly string[]} args what follows `npm start --`
 * @returns {Promise<number>} the exit code; 128 plus the signal's number when a signal ended it
 */
export function start(args) {
  const script = args.length > 0 ? join(root, "apps/cli/dist/img.js") : join(root, "scripts/demo.mjs");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], {
      // npm changes to the root of the project; file names are meant from where the user stands.
      cwd: process.env.INIT_CWD ?? process.cwd(),
      stdio: "inherit",
    });
    // The terminal sends these to the child too, which cleans up and then decides the exit code.
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
      process.on(signal, () => (signal === "SIGINT" ? undefined : child.kill(signal)));
    }
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
