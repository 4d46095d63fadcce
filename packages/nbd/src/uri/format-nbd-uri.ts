import { defaultPort } from "../protocol/handshake-numbers.ts";
import type { NbdUri, NbdUriTls } from "./nbd-uri.ts";

/** The URI that `parseNbdUri` takes apart into the same again; equal ones have the same. The default port isn't shown. */
export function formatNbdUri({ transport, exportName, tls }: NbdUri): string {
  const scheme = (tls === undefined ? "nbd" : "nbds") + (transport.kind === "unix" ? "+unix" : "");
  const user = tls?.username === undefined ? "" : `${encodeURIComponent(tls.username)}@`;
  const place = transport.kind === "unix" ? "" : hostAndPort(transport);
  const path = exportName.split("/").map(encodeURIComponent).join("/");
  const parameters = [
    ...(transport.kind === "unix" ? [["socket", transport.path] as const] : []),
    ...(tls === undefined ? [] : tlsParameters(tls)),
  ].map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2F", "/")}`);
  const query = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
  return `${scheme}://${user}${place}/${path}${query}`;
}

function hostAndPort({ host, port }: { readonly host: string; readonly port: number }): string {
  const shown = host.includes(":") ? `[${host}]` : encodeURIComponent(host);
  return port === defaultPort ? shown : `${shown}:${String(port)}`;
}

function tlsParameters(tls: NbdUriTls): (readonly [name: string, value: string])[] {
  const all = [
    ["tls-type", tls.type],
    ["tls-hostname", tls.hostname],
    ["tls-verify-peer", tls.verifyPeer === undefined ? undefined : tls.verifyPeer ? "1" : "0"],
    ["tls-certificates", tls.certificates],
    ["tls-psk-file", tls.pskFile],
  ] as const;
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}
