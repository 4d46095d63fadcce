import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ImgError, wrapHostError } from "@img/format-core";

/** Certificates and keys in PEM. */
export interface X509Credentials {
  readonly kind: "x509";
  /** Who has to have signed the peer's certificate; with what it calls revoked. */
  readonly ca?: string;
  readonly crl?: string;
  /** Our own certificate and its key; a client may go without. */
  readonly cert?: string;
  readonly key?: string;
}

/** Keys that both sides know, by the name of who uses them. */
export interface PskCredentials {
  readonly kind: "psk";
  readonly keys: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads credentials from a directory with the file names that QEMU, libnbd and nbdkit use: `ca-cert.pem`, `ca-crl.pem` (may be absent), and
 * `server-cert.pem` and `server-key.pem`, or `client-…` (may be absent).
 * @throws ImgError with the host's code when a file can't be read
 */
export async function loadX509Directory(directory: string, role: "server" | "client"): Promise<X509Credentials> {
  const required = (name: string): Promise<string> => read(join(directory, name));
  const optional = (name: string): Promise<string | undefined> => readIfThere(join(directory, name));
  const ca = role === "server" ? await optional("ca-cert.pem") : await required("ca-cert.pem");
  const crl = await optional("ca-crl.pem");
  const cert = role === "server" ? await required("server-cert.pem") : await optional("client-cert.pem");
  const key = cert === undefined ? undefined : await required(`${role}-key.pem`);
  return {
    kind: "x509",
    ...(ca === undefined ? {} : { ca }),
    ...(crl === undefined ? {} : { crl }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

/**
 * Reads keys from a file with a line `name:key` for each, the key in hexadecimal digits: what `psktool` writes, and what QEMU calls `keys.psk`.
 * @throws ImgError with the host's code, or `ERR_IMG_CORRUPT` for a line that is none
 */
export async function loadPskFile(path: string): Promise<PskCredentials> {
  const keys = new Map<string, Uint8Array>();
  for (const [index, line] of (await read(path)).split("\n").entries()) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) {
      continue;
    }
    const [, name, key] = /^([^:]+):((?:[0-9a-f]{2})+)$/i.exec(text) ?? [];
    if (name === undefined || key === undefined) {
      throw new ImgError("ERR_IMG_CORRUPT", `${path}: line ${index + 1} isn't a name, a colon and hexadecimal digits`);
    }
    keys.set(name, Buffer.from(key, "hex"));
  }
  return { kind: "psk", keys };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw wrapHostError(error, `${path}: cannot be read`, path);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw wrapHostError(error, `${path}: cannot be read`, path);
  }
}
