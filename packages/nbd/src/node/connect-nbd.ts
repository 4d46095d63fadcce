import { connect } from "node:net";
import { wrapHostError } from "@img/format-core";
import type { NbdConnector } from "../client/client-options.ts";
import type { NbdUri } from "../uri/nbd-uri.ts";
import { checkSocketPath } from "./socket-path.ts";
import { SocketStream } from "./socket-stream.ts";

/** After so many idle milliseconds TCP looks whether the server is still there. */
const keepAliveDelay = 30_000;

/**
 * Connects to a server over TCP or a Unix socket: for `NbdStorage.open` and `listExports`. They fail with the host's codes (`ECONNREFUSED`, `ENOENT`, …)
 * if nobody is there, and with `ENAMETOOLONG` for the path of a Unix socket that the host would cut.
 */
export function nbdConnector(transport: NbdUri["transport"]): NbdConnector {
  const label =
    transport.kind === "unix" ? `unix:${transport.path}` : `tcp:${transport.host}:${String(transport.port)}`;
  const where = transport.kind === "unix" ? { path: transport.path } : { host: transport.host, port: transport.port };
  return (signal) =>
    new Promise((resolve, reject) => {
      if (transport.kind === "unix") {
        checkSocketPath(transport.path);
      }
      const socket = connect({ ...where, noDelay: true });
      const abort = (): void => {
        socket.destroy();
        reject(signal.reason as Error);
      };
      const fail = (error: Error): void => {
        signal.removeEventListener("abort", abort);
        reject(wrapHostError(error, `${label}: cannot connect`, label));
      };
      signal.addEventListener("abort", abort, { once: true });
      socket.once("error", fail);
      socket.once("connect", () => {
        signal.removeEventListener("abort", abort);
        socket.off("error", fail);
        if (transport.kind === "tcp") {
          socket.setKeepAlive(true, keepAliveDelay);
        }
        resolve(new SocketStream(socket, label));
      });
    });
}
