import { hostname } from "node:os";
import { formatNbdUri, type NbdUri } from "@img/nbd";
import type { NbdListener } from "@img/nbd/node";

/**
 * The URIs that clients find an export at: one for each place where the server listens. A Unix socket that was inherited has none: Node doesn't tell where
 * it is.
 * @param tls - they have to use TLS; with which credentials is up to them
 */
export function exportUris(
  name: string,
  addresses: readonly NbdListener["address"][],
  tls: boolean,
): readonly string[] {
  return addresses
    .filter((address) => !("path" in address) || address.path !== "")
    .map((address) => formatNbdUri({ transport: transportOf(address), exportName: name, ...(tls ? { tls: {} } : {}) }));
}

function transportOf(address: NbdListener["address"]): NbdUri["transport"] {
  return "path" in address
    ? { kind: "unix", path: address.path }
    : { kind: "tcp", host: hostOf(address.host), port: address.port };
}

/** How others call an address that we listen on. */
function hostOf(host: string): string {
  switch (host) {
    case "127.0.0.1":
    case "::1":
      return "localhost";
    case "0.0.0.0":
    case "::":
      return hostname();
    default:
      return host;
  }
}
