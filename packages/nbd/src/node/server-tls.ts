import type { Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { ImgError } from "@img/format-core";
import type { SecuredStream, ServerTls } from "../server/server-options.ts";
import type { DuplexStream } from "../stream/duplex-stream.ts";
import { SocketStream } from "./socket-stream.ts";
import type { PskCredentials, X509Credentials } from "./tls-credentials.ts";

/**
 * Suites for keys that both sides know. The first is twice as fast as the second where AES is built in; libnbd and QEMU know all of them. Keys without
 * a hash go with SHA-256 only, which leaves out the suites with SHA-384.
 */
export const pskCiphers: string = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK";

/** Options of {@link serverTls}. */
export interface ServerTlsOptions {
  /** `required`: clients get nothing without TLS. Default `"required"`. */
  readonly mode?: "optional" | "required";
  /** Clients have to show a certificate that the authority in `credentials` has signed. Needs `ca`. Default `false`. */
  readonly verifyPeer?: boolean;
  /** Whether a client that has proved who it is may come in. Default: everybody. */
  readonly authorize?: (identity: string) => boolean;
  /** Milliseconds for the TLS handshake. Default 10 s. */
  readonly handshakeTimeout?: number;
}

/**
 * TLS for servers of sockets: by certificates, or by keys that both sides know.
 * @throws RangeError when credentials are missing that the options need
 */
export function serverTls(credentials: X509Credentials | PskCredentials, options: ServerTlsOptions = {}): ServerTls {
  checkCredentials(credentials, options);
  return {
    mode: options.mode ?? "required",
    upgrade: (stream) => upgrade(stream, credentials, options),
  };
}

function checkCredentials(credentials: X509Credentials | PskCredentials, options: ServerTlsOptions): void {
  if (credentials.kind === "psk") {
    if (options.verifyPeer === true) {
      throw new RangeError("verifyPeer is for certificates: whoever knows a key has proved it");
    }
    return;
  }
  if (credentials.cert === undefined || credentials.key === undefined) {
    throw new RangeError("a server needs a certificate and its key");
  }
  if (options.verifyPeer === true && credentials.ca === undefined) {
    throw new RangeError("verifyPeer needs the authority's certificate");
  }
}

async function upgrade(
  stream: DuplexStream,
  credentials: X509Credentials | PskCredentials,
  options: ServerTlsOptions,
): Promise<SecuredStream> {
  if (!(stream instanceof SocketStream)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${stream.label}: TLS needs a socket`);
  }
  const { socket, identity } = await secure(stream.release(), credentials, options);
  if (options.authorize !== undefined && !options.authorize(identity ?? "")) {
    socket.destroy();
    throw new ImgError("ERR_IMG_DENIED", `${stream.label}: ${identity ?? "a client without a name"} isn't allowed in`);
  }
  const secured = new SocketStream(socket, stream.label);
  return { stream: secured, ...(identity === undefined ? {} : { identity }) };
}

/**
 * Each connection has a TLS server of its own: a bare `TLSSocket` wouldn't check certificates of clients, and one for all couldn't say
 * which socket became which.
 */
function secure(
  raw: Socket,
  credentials: X509Credentials | PskCredentials,
  options: ServerTlsOptions,
): Promise<{ socket: TLSSocket; identity: string | undefined }> {
  return new Promise((resolve, reject) => {
    let identity: string | undefined;
    const common: TlsOptions = {
      minVersion: "TLSv1.2",
      handshakeTimeout: options.handshakeTimeout ?? 10_000,
      allowHalfOpen: true,
    };
    const host = createServer(
      credentials.kind === "psk"
        ? {
            ...common,
            ciphers: pskCiphers,
            pskCallback: (_, name) => {
              identity = name;
              // an unknown name ends the handshake, like a wrong key
              return credentials.keys.get(name) ?? null;
            },
          }
        : { ...common, ...x509Options(credentials, options) },
    );
    const fail = (error?: Error): void => {
      raw.destroy();
      reject(error ?? new ImgError("ECONNRESET", "the client has left during the TLS handshake"));
    };
    host.once("tlsClientError", fail);
    raw.once("close", () => {
      fail();
    });
    host.once("secureConnection", (socket) => {
      identity ??= options.verifyPeer === true ? subjectOf(socket) : undefined;
      resolve({ socket, identity });
    });
    host.emit("connection", raw);
  });
}

function x509Options(credentials: X509Credentials, options: ServerTlsOptions): TlsOptions {
  const { ca, crl, cert, key } = credentials;
  const verify = options.verifyPeer === true;
  return { cert, key, ca, crl, requestCert: verify, rejectUnauthorized: verify };
}

function subjectOf(socket: TLSSocket): string | undefined {
  const { subject } = socket.getPeerCertificate() as { subject?: Record<string, string | string[]> };
  return subject === undefined
    ? undefined
    : Object.entries(subject)
        .flatMap(([name, values]) => [values].flat().map((value) => `${name}=${value}`))
        .join(",");
}
