import { writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "tsup";
import type { TemporaryDirectory } from "./temporary-directory.ts";

/** Makes what the worker of a bridge runs, from the sources: workers load no TypeScript. */
export async function buildWorker(directory: TemporaryDirectory): Promise<URL> {
  await build({
    entry: { worker: fileURLToPath(new URL("../../packages/sync/src/node-bridge-worker.ts", import.meta.url)) },
    outDir: directory.file("worker"),
    config: false,
    silent: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    noExternal: [/./],
    esbuildOptions(settings) {
      settings.conditions = ["@img/source", "module"];
    },
  });
  writeFileSync(directory.file("worker/package.json"), '{"type":"module"}');
  return pathToFileURL(directory.file("worker/worker.js"));
}

const source = `
import { open as openFile, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** A file that answers with promises only, written as a stranger would. */
class PromisedFile {
  limits = { request: 1, memory: 1, zero: 1, discard: 1 };
  constructor(handle, size, location, writable) {
    Object.assign(this, { handle, size, location, writable, label: "promised:" + location });
  }
  async read(into, offset) {
    for (const buffer of into.buffers) {
      for (let done = 0; done < buffer.length; ) {
        const { bytesRead } = await this.handle.read(buffer, done, buffer.length - done, offset + done);
        if (bytesRead === 0) { buffer.fill(0, done); break; }
        done += bytesRead;
      }
      offset += buffer.length;
    }
  }
  async write(from, offset) {
    for (const buffer of from.buffers) {
      for (let done = 0; done < buffer.length; ) {
        done += (await this.handle.write(buffer, done, buffer.length - done, offset + done)).bytesWritten;
      }
      offset += buffer.length;
    }
    this.size = Math.max(this.size, offset);
  }
  async resize(size) {
    await this.handle.truncate(size);
    this.size = size;
  }
  async flush() {}
  async sync() { await this.handle.datasync(); }
  resolve(relative) { return resolve(dirname(this.location), relative); }
  async [Symbol.asyncDispose]() { await this.handle.close(); }
}

export async function open({ location, writable = false }) {
  const handle = await openFile(location, writable ? "r+" : "r");
  const { size, dev, ino } = await handle.stat();
  const file = new PromisedFile(handle, size, location, writable);
  file.identity = dev + ":" + ino;
  return file;
}

export const canonical = ({ location }) => realpath(location);
`;

/** A module for workers that opens files which have to be waited for. */
export function promisedFiles(directory: TemporaryDirectory): URL {
  const path = directory.file("promised-files.mjs");
  writeFileSync(path, source);
  return pathToFileURL(path);
}
