import { ImgError, openerFromFunctions, type Storage, type StorageOpener } from "@img/format-core";
import { listExports } from "../client/list-exports.ts";
import type { ClientTls } from "../client/client-options.ts";
import { NbdStorage, type NbdStorageOptions } from "../nbd-storage.ts";
import type { ExportEntry } from "../protocol/export-entry.ts";
import { formatNbdUri } from "../uri/format-nbd-uri.ts";
import type { NbdUri } from "../uri/nbd-uri.ts";
import { parseNbdUri } from "../uri/parse-nbd-uri.ts";
import { clientTls } from "./client-tls.ts";
import { nbdConnector } from "./connect-nbd.ts";
import { loadPskFile, loadX509Directory, type PskCredentials, type X509Credentials } from "./tls-credentials.ts";

/** Options of {@link openNbd}: what the URI says isn't among them. */
export type OpenNbdOptions = Omit<NbdStorageOptions, "exportName" | "location" | "tls">;

/**
 * Opens the export that an NBD URI names: all forms of `parseNbdUri`, with TLS where the URI says so.
 * @throws ImgError as `parseNbdUri` and `NbdStorage.open`; with the host's code when nobody is there or credentials can't be read
 */
export async function openNbd(uri: string | NbdUri, options: OpenNbdOptions = {}): Promise<NbdStorage> {
  const parsed = typeof uri === "string" ? parseNbdUri(uri) : uri;
  const { transport, exportName } = parsed;
  const tls = await tlsOf(parsed);
  const location = formatNbdUri(parsed);
  return NbdStorage.open(nbdConnector(transport), { ...options, exportName, location, ...tls });
}

/**
 * The exports that the server in an NBD URI shows.
 * @throws ImgError as `parseNbdUri` and `listExports`
 */
export async function listNbd(
  uri: string | NbdUri,
  options: { readonly timeout?: number } = {},
): Promise<ExportEntry[]> {
  const parsed = typeof uri === "string" ? parseNbdUri(uri) : uri;
  return listExports(nbdConnector(parsed.transport), { ...options, ...(await tlsOf(parsed)) });
}

/** Opens locations that are NBD URIs: for gates, and for programs that open images by location (`openerByScheme` with `nbdSchemes`). */
export function nbdOpener(options: Omit<OpenNbdOptions, "writable" | "label"> = {}): StorageOpener {
  return openerFromFunctions({
    open: (location, { writable }): Promise<Storage> => openNbd(location, { ...options, writable }),
    canonical: canonicalNbdUri,
  });
}

async function tlsOf({ tls, transport }: NbdUri): Promise<{ readonly tls?: ClientTls }> {
  if (tls === undefined) {
    return {};
  }
  const hostname = tls.hostname ?? (transport.kind === "tcp" ? transport.host : undefined);
  return {
    tls: clientTls(await credentialsOf(tls), {
      ...(hostname === undefined ? {} : { hostname }),
      ...(tls.verifyPeer === undefined ? {} : { verifyPeer: tls.verifyPeer }),
      ...(tls.username === undefined ? {} : { username: tls.username }),
    }),
  };
}

async function credentialsOf(tls: NonNullable<NbdUri["tls"]>): Promise<PskCredentials | X509Credentials> {
  const { type, pskFile, certificates } = tls;
  if (type === "psk" || (type === undefined && pskFile !== undefined)) {
    if (pskFile === undefined) {
      throw new ImgError("EINVAL", "tls-type=psk needs the parameter tls-psk-file");
    }
    return loadPskFile(pskFile);
  }
  return certificates === undefined ? { kind: "x509" } : loadX509Directory(certificates, "client");
}

/**
 * The one spelling of an NBD URI.
 * @throws ImgError as `parseNbdUri`
 */
export function canonicalNbdUri(uri: string): string {
  return formatNbdUri(parseNbdUri(uri));
}
