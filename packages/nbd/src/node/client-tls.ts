import { isIP, type Socket } from "node:net";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { ImgError, wrapHostError } from "@img/format-core";
import type { ClientTls } from "../client/client-options.ts";
import { pskCiphers } from "./server-tls.ts";
import { SocketStream } from "./socket-stream.ts";
import type { PskCredentials, X509Credentials } from "./tls-credentials.ts";

/** Options of {@link clientTls}. */
export interface ClientTlsOptions {
  /** The name that the server's certificate has to have. Default `"localhost"`. */
  readonly hostname?: string;
  /** `false`: any certificate will do, so anybody may be the server. Default `true`. */
  readonly verifyPeer?: boolean;
  /** Whose key to use. Default: the only one that there is. */
  readonly username?: string;
}

/**
 * TLS for clients, over sockets: by certificates, or by a key that both sides know. Without `ca`, authorities that Node trusts may have signed the
 * server's certificate.
 * @throws ImgError `EINVAL` when there is no key of that name, or none is named and there are several
 */
export function clientTls(credentials: X509Credentials | PskCredentials, options: ClientTlsOptions = {}): ClientTls {
  const settings = credentials.kind === "psk" ? pskSettings(credentials, options) : x509Settings(credentials, options);
  return {
    async upgrade(stream) {
      if (!(stream instanceof SocketStream)) {
        throw new ImgError("ERR_IMG_UNSUPPORTED", `${stream.label}: TLS needs a socket`);
      }
      const { label } = stream;
      try {
        return new SocketStream(await secure(stream.release(), settings), label);
      } catch (error) {
        throw wrapHostError(error, `${label}: the TLS handshake failed`, label);
      }
    },
  };
}

function x509Settings({ ca, crl, cert, key }: X509Credentials, options: ClientTlsOptions): ConnectionOptions {
  const hostname = options.hostname ?? "localhost";
  return {
    ca,
    crl,
    cert,
    key,
    host: hostname,
    // an address can't be asked for by name, only be compared with what the certificate says
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    rejectUnauthorized: options.verifyPeer !== false,
  };
}

function pskSettings({ keys }: PskCredentials, { username }: ClientTlsOptions): ConnectionOptions {
  const [only, ...others] = keys.keys();
  const identity = username ?? (others.length === 0 ? only : undefined);
  const psk = identity === undefined ? undefined : keys.get(identity);
  if (identity === undefined || psk === undefined) {
    const named = username === undefined ? "no user is named" : `there is no key of ${JSON.stringify(username)}`;
    throw new ImgError("EINVAL", `${named}, and there are ${String(keys.size)} keys`);
  }
  return {
    ciphers: pskCiphers,
    pskCallback: () => ({ identity, psk }),
    // a server that shows a certificate hasn't proved that it knows the key
    checkServerIdentity: (_, certificate) =>
      Object.keys(certificate).length === 0 ? undefined : new Error("the server doesn't use the key"),
  };
}

function secure(raw: Socket, settings: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...settings, socket: raw, minVersion: "TLSv1.2" });
    const fail = (error: Error): void => {
      raw.destroy();
      reject(error);
    };
    const gone = (): void => {
      fail(new ImgError("ECONNRESET", "the server has closed the connection"));
    };
    socket.once("error", fail);
    raw.once("close", gone);
    socket.once("secureConnect", () => {
      raw.off("close", gone);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}
