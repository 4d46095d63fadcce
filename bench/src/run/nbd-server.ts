import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Ticks of a processor per second in `/proc`: what every Linux has. */
const ticks = 100;

/** A server that runs until its object is disposed of, which waits until it has let go of its image. */
export class NbdServerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "exit");
  }

  /** Starts a server, and waits until its socket is there. @throws Error when it ends instead */
  static async start(command: string, args: readonly string[], socket: string): Promise<NbdServerProcess> {
    rmSync(socket, { force: true });
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
    while (!existsSync(socket)) {
      if (child.exitCode !== null) {
        throw new Error(`${command} ${args.join(" ")}: ended with ${String(child.exitCode)}`);
      }
      await sleep(10);
    }
    // it is there a moment before somebody listens
    await sleep(50);
    return new NbdServerProcess(child);
  }

  /** Seconds that processors have worked for it; `undefined` where that isn't known. */
  cpu(): number | undefined {
    try {
      const stat = readFileSync(`/proc/${String(this.#child.pid)}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / ticks;
    } catch {
      return undefined;
    }
  }

  /** Most memory that was resident so far, in MiB; `undefined` where that isn't known. */
  memory(): number | undefined {
    try {
      const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${String(this.#child.pid)}/status`, "utf8"))?.[1];
      return peak === undefined ? undefined : Number(peak) / 1024;
    } catch {
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGKILL");
      await this.#ended;
    }
  }
}
