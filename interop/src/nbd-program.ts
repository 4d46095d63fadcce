import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "tsup";
import type { TemporaryDirectory } from "./temporary-directory.ts";

/** Our server as a program, made from the sources. */
export class NbdProgram {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  static async build(directory: TemporaryDirectory): Promise<NbdProgram> {
    await build({
      entry: { server: fileURLToPath(new URL("nbd-process.ts", import.meta.url)) },
      outDir: directory.file("program"),
      config: false,
      silent: true,
      format: "esm",
      platform: "node",
      target: "es2022",
      noExternal: [/./],
      external: ["koffi"],
      esbuildOptions(settings) {
        settings.conditions = ["@img/source", "module"];
      },
    });
    writeFileSync(directory.file("program/package.json"), '{"type":"module"}');
    // the native helper isn't part of the program
    const helper = new URL("../../packages/storage-fs/node_modules", import.meta.url);
    symlinkSync(fileURLToPath(helper), directory.file("program/node_modules"));
    return new NbdProgram(directory.file("program/server.js"));
  }

  /** Serves an image as the export without a name. @param socket - a path where nothing is */
  async start(socket: string, format: string, path: string): Promise<NbdProcess> {
    const child = spawn(process.execPath, [this.#program, socket, format, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [first] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [unknown];
    if (!(first instanceof Uint8Array)) {
      throw new Error(`the server has ended with ${String(first)}`);
    }
    return new NbdProcess(child);
  }
}

/** A server of {@link NbdProgram} that runs. */
export class NbdProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Ends it, and waits until it is gone. `SIGTERM`: with everything that belongs to it. @returns its exit code; `null`: the signal ended it */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.kill(signal);
      await ended;
    }
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}
