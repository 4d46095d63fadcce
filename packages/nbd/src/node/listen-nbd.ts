import { chmodSync } from "node:fs";
import { lstat, unlink } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import { isMainThread } from "node:worker_threads";
import { wrapHostError } from "@img/format-core";
import { defaultPort } from "../protocol/handshake-numbers.ts";
import type { NbdServer } from "../server/nbd-server.ts";
import { checkSocketPath, isAbstract } from "./socket-path.ts";
import { SocketStream } from "./socket-stream.ts";

/** After so many idle milliseconds TCP looks whether the peer is still there. */
const keepAliveDelay = 30_000;

/** Where to listen. */
export type NbdListenTarget =
  /** TCP. Default: port 10809 of all addresses of this machine; port 0: any free one. */
  | { readonly kind: "tcp"; readonly host?: string; readonly port?: number }
  /**
   * A Unix socket. `path` may begin with a NUL: an abstract one (Linux). A socket file that nobody listens on is replaced; `mode` sets its permissions, default:
   * what the umask leaves.
   */
  | { readonly kind: "unix"; readonly path: string; readonly mode?: number }
  /** A socket that listens already, as systemd passes it. */
  | { readonly kind: "fd"; readonly fd: number };

/** Options of {@link listenNbd}. */
export interface NbdListenOptions {
  /** Whether a client may come in; the others are dropped before the first byte. Default: everybody. */
  readonly accept?: (socket: Socket) => boolean;
}

/** A server's ear. */
export interface NbdListener extends AsyncDisposable {
  /**
   * Where it really listens: with the port that was found free, and the host `::` or `0.0.0.0` for all. The path is empty for a Unix socket that was
   * inherited: the host doesn't say what it is called.
   */
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Accepts nobody any more, and removes a Unix socket's file. Connections go on: `NbdServer.close` ends them. */
  close(): Promise<void>;
}

/**
 * Listens for clients of a server. Any number of listeners may have the same server.
 * @param server - or whatever else takes care of the clients that come
 * @throws ImgError with the host's code (`EADDRINUSE`, `EACCES`, …), and then nobody listens; `ENAMETOOLONG` for the path of a Unix socket that the host
 * would cut
 */
export async function listenNbd(
  server: Pick<NbdServer, "serve">,
  target: NbdListenTarget,
  options: NbdListenOptions = {},
): Promise<NbdListener> {
  const accept = SocketStream.acceptor();
  // replies that are under way when the client ends its side have to arrive
  const host = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    if (options.accept?.(socket) === false) {
      socket.destroy();
      return;
    }
    if (target.kind === "tcp") {
      socket.setKeepAlive(true, keepAliveDelay);
    }
    void server.serve(accept(socket));
  });
  try {
    await listen(host, target);
  } catch (error) {
    host.close();
    throw wrapHostError(error, "cannot listen for NBD clients");
  }
  // without a listener, errors of accepting (out of descriptors) would end the process
  host.on("error", () => undefined);
  const close = async (): Promise<void> => {
    host.close();
  };
  return { address: addressOf(host), close, [Symbol.asyncDispose]: close };
}

async function listen(host: Server, target: NbdListenTarget): Promise<void> {
  switch (target.kind) {
    case "tcp":
      await listenOnce(host, {
        port: target.port ?? defaultPort,
        ...(target.host === undefined ? {} : { host: target.host }),
      });
      return;
    case "fd":
      await listenOnce(host, { fd: target.fd } as ListenOptions);
      return;
    case "unix":
      checkSocketPath(target.path);
      await listenUnix(host, target.path, isAbstract(target.path) ? undefined : target.mode);
  }
}

async function listenUnix(host: Server, path: string, mode: number | undefined): Promise<void> {
  try {
    await listenWithMode(host, path, mode);
  } catch (error) {
    if (isAbstract(path) || !isInUse(error) || !(await isLeftover(path))) {
      throw error;
    }
    await unlink(path);
    await listenWithMode(host, path, mode);
  }
}

/**
 * Makes a socket's file with no permissions that it isn't to have in the end: who has come in before they are set stays in. The umask is the whole process's,
 * but `listen` makes the file before it returns, and no other code runs meanwhile. Worker threads can't set it.
 */
function listenWithMode(host: Server, path: string, mode: number | undefined): Promise<void> {
  if (mode === undefined) {
    return listenOnce(host, { path });
  }
  const setMode = (): void => {
    // what the umask has taken away
    chmodSync(path, mode);
  };
  if (!isMainThread) {
    return listenOnce(host, { path }, setMode);
  }
  const umask = process.umask(0o777);
  process.umask(umask | (0o777 & ~mode));
  try {
    return listenOnce(host, { path }, setMode);
  } finally {
    process.umask(umask);
  }
}

/** @param first - done before anybody is let in; when it fails, so does listening */
function listenOnce(host: Server, where: ListenOptions, first?: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    host.once("error", reject);
    host.listen(where, () => {
      host.off("error", reject);
      try {
        first?.();
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
}

/** Whether a path is a socket on which nobody listens. A plain file refuses connections just the same, and isn't ours to remove. */
async function isLeftover(path: string): Promise<boolean> {
  return (await lstat(path)).isSocket() && !(await isAnswering(path));
}

/** Whether somebody listens; only a socket that refuses is known to be a leftover. */
function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code !== "ECONNREFUSED");
    });
  });
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}

function addressOf(host: Server): NbdListener["address"] {
  const address: AddressInfo | string | null = host.address();
  return typeof address === "object" && address !== null
    ? { host: address.address, port: address.port }
    : { path: address ?? "" };
}
