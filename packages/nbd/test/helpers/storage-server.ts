import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A real server's process that listens on a Unix socket; it ends with the object. */
export interface RealServer extends AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
  uri(name?: string): string;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts `command`; `SOCKET` in its arguments is the path to listen on, `DIR` a directory of its own. */
export async function startServer(command: string, args: readonly string[], directory?: string): Promise<RealServer> {
  const place = directory ?? mkdtempSync(join(tmpdir(), "img-nbd-real-"));
  const socket = join(place, "sock");
  const given = args.map((arg) => arg.replaceAll("SOCKET", socket).replaceAll("DIR", place));
  const child = spawn(command, given, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  for (let tries = 0; !(await listens(socket)); tries++) {
    if (child.exitCode !== null || tries > 500) {
      throw new Error(`${command} ${given.join(" ")} doesn't listen: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const kill = (signal: NodeJS.Signals = "SIGKILL"): Promise<void> => end(child, signal);
  return {
    directory: place,
    socket,
    uri: (name = "") => `nbd+unix:///${name}?socket=${socket}`,
    kill,
    [Symbol.asyncDispose]: async () => {
      await kill();
      rmSync(place, { recursive: true, force: true });
    },
  };
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    child.once("exit", () => {
      resolve();
    });
    child.kill(signal);
  });
}

/** Whether somebody listens; the socket's file is there a bit earlier. */
function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => {
      resolve(false);
    });
  });
}
