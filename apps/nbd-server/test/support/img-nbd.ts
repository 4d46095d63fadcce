import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { runTool, type ToolResult } from "./run-tool.ts";

/** The built program. */
export const program: string = fileURLToPath(new URL("../../dist/img-nbd.js", import.meta.url));

/** Runs it where it ends by itself. */
export function imgNbd(args: readonly string[], cwd?: string): Promise<ToolResult> {
  return runTool(process.execPath, [program, ...args], cwd);
}

/** A server that runs; disposing of it ends it. */
export class RunningServer implements AsyncDisposable {
  readonly process: ChildProcess;
  /** What it printed when it began to listen: a URI in each line. */
  readonly uris: readonly string[];
  stderr = "";
  #ended: Promise<number | NodeJS.Signals | null>;

  private constructor(child: ChildProcess, uris: readonly string[], said: { stderr: string }) {
    this.process = child;
    this.uris = uris;
    this.stderr = said.stderr;
    child.stderr?.on("data", (text: string) => (this.stderr += text));
    this.#ended = ended(child);
  }

  /** The first URI. */
  get uri(): string {
    return this.uris[0] ?? "";
  }

  /** How it ended: its exit code, or a signal. Waits for it. */
  get exit(): Promise<number | NodeJS.Signals | null> {
    return this.#ended;
  }

  /** Starts it and waits until clients can come. @throws Error with what it said when it ends before */
  static async start(args: readonly string[], cwd?: string): Promise<RunningServer> {
    const child = spawn(process.execPath, [program, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
    const said = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said.stderr += text));
    const end = ended(child);
    await Promise.race([once(child.stdout, "data"), end]);
    if (said.stdout === "") {
      throw new Error(`img-nbd ${args.join(" ")} ended with ${String(await end)}: ${said.stderr}`);
    }
    return new RunningServer(child, said.stdout.trimEnd().split("\n"), said);
  }

  /** Asks it to end, and waits until it has. */
  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | NodeJS.Signals | null> {
    this.process.kill(signal);
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) {
    await once(child, "close");
  }
  return child.exitCode ?? child.signalCode;
}
