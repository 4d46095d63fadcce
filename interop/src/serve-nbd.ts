import { NbdServer, type NbdExports, type NbdServerOptions } from "@img/nbd";
import { listenNbd } from "@img/nbd/node";

/** A server of ours in this process, on a Unix socket; disposing of it drops who is still there. */
export interface ServedNbd extends AsyncDisposable {
  readonly server: NbdServer;
  readonly socket: string;
  /** For clients. @param name - of the export; default: the one without a name */
  uri(name?: string): string;
}

/** Serves exports on a Unix socket. @param socket - a path where nothing is */
export async function serveNbd(
  exports: NbdExports,
  socket: string,
  options: NbdServerOptions = {},
): Promise<ServedNbd> {
  const server = new NbdServer(exports, options);
  const listener = await listenNbd(server, { kind: "unix", path: socket });
  return {
    server,
    socket,
    uri: (name = "") => `nbd+unix:///${name}?socket=${socket}`,
    [Symbol.asyncDispose]: async () => {
      await listener.close();
      await server.close({ grace: 1000 });
    },
  };
}
