import { execFile, type ExecFileException } from "node:child_process";

/** Milliseconds that a program gets: it is stopped afterwards. */
const patience = 300_000;

/** nbdcopy 1.14 sometimes waits for ever for what it has got already. It gets less time, and another try. */
const nbdcopyPatience = 60_000;

/**
 * Runs a program while this process serves it, and waits for it.
 * @returns what it wrote to its standard output
 * @throws Error with all that it said when it fails, can't be run or takes too long
 */
export async function runClient(command: string, ...args: readonly string[]): Promise<string> {
  const first = command === "nbdcopy" ? await run(command, args, nbdcopyPatience) : undefined;
  const { error, stdout, stderr } =
    first !== undefined && first.error?.killed !== true ? first : await run(command, args, patience);
  if (error !== null) {
    const { code, signal } = error;
    const called = `${command} ${args.join(" ").slice(0, 500)}`;
    // not as the cause: its message has all the arguments in it again
    throw new Error(`${called}\nended with ${String(code ?? signal)}: ${stderr}${stdout}`);
  }
  return stdout;
}

interface Ended {
  readonly error: ExecFileException | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], timeout: number): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ error, stdout, stderr });
    });
  });
}
