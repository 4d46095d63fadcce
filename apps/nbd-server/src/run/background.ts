import { spawn, type StdioOptions } from "node:child_process";
import type { Terminal } from "@img/cli";
import { ownSockets } from "../network/socket-activation.ts";

/** Tells a process that it is the one in the background. */
const marker = "IMG_NBD_BACKGROUND";

/** What the process in the background says once clients can come. */
interface Ready {
  readonly ready: string;
}

/** Whether this process is the one in the background. Its children aren't. */
export function isBackground(environment: NodeJS.ProcessEnv): boolean {
  const is = environment[marker] !== undefined && process.send !== undefined;
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- that is how variables leave the environment
  delete environment[marker];
  return is;
}

/**
 * Starts this program again in the background, with the same arguments, and waits until clients can come. What it says until then is said here.
 * @param sockets - descriptors that it gets as its own, under the same numbers
 * @returns the exit code: 0 once it runs, otherwise its own
 */
export function startBackground(
  argv: readonly string[],
  sockets: readonly number[],
  terminal: Terminal,
): Promise<number> {
  const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...sockets, "ipc"];
  const environment = {
    ...process.env,
    [marker]: "1",
    ...(sockets.length === 0 ? {} : { LISTEN_PID: ownSockets, LISTEN_FDS: String(sockets.length) }),
  };
  const child = spawn(process.execPath, [...process.execArgv, ...argv.slice(1)], {
    detached: true,
    env: environment,
    stdio,
  });
  // that nobody reads it changes nothing: the server runs all the same, or fails with its own code
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    terminal.write(text);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    terminal.note(text);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("message", ({ ready }: Ready) => {
      child.removeAllListeners("close");
      // what it holds of ours would keep this process, and whoever reads what it says
      child.disconnect();
      child.stdout?.destroy();
      child.stderr?.destroy();
      child.unref();
      terminal.write(ready);
      resolve(0);
    });
    child.once("close", (code) => {
      resolve(code ?? 1);
    });
  });
}

/** Tells the process that waits for it that clients can come. From then on nobody reads what this one says. */
export async function reportReady(text: string): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    // without a listener, writing to nobody would end the process
    stream.on("error", () => undefined);
  }
  const message: Ready = { ready: text };
  await new Promise<void>((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => {
      if (error === null) {
        resolve();
      } else {
        reject(error);
      }
    });
  });
  if (process.connected) {
    process.disconnect();
  }
}
