import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory for images, in memory where the host has `/dev/shm`; `using` removes it with everything in it. */
export class TemporaryDirectory implements Disposable {
  /** Absolute. */
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(memoryDirectory() ?? tmpdir(), "img-interop-"));
  }

  /** The absolute path of `name` in the directory. */
  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function memoryDirectory(): string | undefined {
  try {
    accessSync("/dev/shm", constants.W_OK | constants.X_OK);
    return "/dev/shm";
  } catch {
    return undefined;
  }
}
