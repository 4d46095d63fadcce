import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenNbd } from "../../src/node.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import type { NbdExports } from "../../src/server/export-source.ts";
import type { NbdServerOptions } from "../../src/server/server-options.ts";

/** A server that listens on a Unix socket in a directory of its own; both go away at the end. */
export interface Served extends AsyncDisposable {
  readonly server: NbdServer;
  readonly directory: string;
  readonly path: string;
  /** For real clients. */
  uri(name?: string): string;
}

export async function serveOnSocket(exports: NbdExports, options: NbdServerOptions = {}): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), "img-nbd-"));
  const path = join(directory, "sock");
  const server = new NbdServer(exports, options);
  const listener = await listenNbd(server, { kind: "unix", path });
  return {
    server,
    directory,
    path,
    uri: (name = "") => `nbd+unix:///${name}?socket=${path}`,
    [Symbol.asyncDispose]: async () => {
      await listener.close();
      await server.close({ grace: 100 });
      await rm(directory, { recursive: true });
    },
  };
}
