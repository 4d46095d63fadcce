import { ImgError } from "@img/format-core";
import { defaultPort, stringLimit } from "../protocol/handshake-numbers.ts";
import type { NbdUri, NbdUriTls } from "./nbd-uri.ts";

/** The schemes of locations that {@link parseNbdUri} takes. `nbd` is also that of QEMU's older form. */
export const nbdSchemes = ["nbd", "nbds", "nbd+tcp", "nbds+tcp", "nbd+unix", "nbds+unix"] as const;

/** What libnbd takes beside those. */
const otherSchemes = ["nbd+vsock", "nbds+vsock", "nbd+ssh", "nbds+ssh"];

/**
 * Takes an NBD URI apart, or QEMU's older form of one:
 * `nbd://host[:port]/export`, `nbds://…`, `nbd+unix:///export?socket=path`, `nbds+unix://…`, `nbd:host:port[:exportname=name]`,
 * `nbd:unix:path[:exportname=name]`.
 *
 * Parameters are `socket`, `tls-type`, `tls-hostname`, `tls-verify-peer`, `tls-certificates` and `tls-psk-file`, as libnbd has them. An export
 * called `/a` is written `//a`.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for vsock, SSH, and parameters and kinds of TLS that aren't known; `EINVAL` for what is no such URI
 */
export function parseNbdUri(text: string): NbdUri {
  const [, scheme = "", authority = "", path = "", query] =
    /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/is.exec(text) ?? [];
  if (scheme === "") {
    return parseLegacy(text);
  }
  const lower = scheme.toLowerCase();
  if (otherSchemes.includes(lower)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${text}: NBD over ${lower.split("+")[1] ?? ""} isn't supported`);
  }
  if (!nbdSchemes.some((each) => each === lower)) {
    throw invalid(text, `expected one of ${nbdSchemes.join(", ")}`);
  }
  const parameters = parseQuery(text, query ?? "");
  const at = authority.lastIndexOf("@");
  const username = at < 0 ? undefined : decode(text, authority.slice(0, at));
  const host = authority.slice(at + 1);
  const isUnix = lower.endsWith("+unix");
  const tls = takeTls(text, parameters, lower.startsWith("nbds"), { username, host: isUnix ? host : "" });
  const transport = isUnix ? unixTransport(text, parameters) : tcpTransport(text, host);
  const [unknown] = parameters.keys();
  if (unknown !== undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${text}: the parameter ${JSON.stringify(unknown)} isn't supported here`);
  }
  const exportName = checkName(text, decode(text, path.replace(/^\//, "")));
  return { transport, exportName, ...(tls === undefined ? {} : { tls }) };
}

/** `nbd:host:port`, `nbd:unix:path`, both maybe with `:exportname=…`, which takes all that follows. */
function parseLegacy(text: string): NbdUri {
  const [, place = "", name = ""] = /^nbd:(.*?)(?::exportname=(.*))?$/is.exec(text) ?? [];
  const exportName = checkName(text, name);
  if (place.startsWith("unix:")) {
    const path = place.slice("unix:".length);
    if (path === "") {
      throw invalid(text, "expected a path behind nbd:unix:");
    }
    return { transport: { kind: "unix", path }, exportName };
  }
  const [, inBrackets, host = inBrackets ?? "", port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(place) ?? [];
  if (host === "") {
    throw invalid(text, "expected nbd://…, nbd+unix://…, nbd:host:port or nbd:unix:path");
  }
  return { transport: { kind: "tcp", host, port: portNumber(text, port) }, exportName };
}

function tcpTransport(text: string, place: string): NbdUri["transport"] {
  const [whole, inBrackets, plain = "", port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(place) ?? [];
  if (whole === undefined || inBrackets === "") {
    throw invalid(text, `${JSON.stringify(place)} is no host with or without a port`);
  }
  const host = inBrackets ?? decode(text, plain);
  return { kind: "tcp", host: host === "" ? "localhost" : host, port: portNumber(text, port) };
}

function unixTransport(text: string, parameters: Map<string, string>): NbdUri["transport"] {
  const path = take(parameters, "socket");
  if (path === undefined || path === "") {
    throw invalid(text, "expected the parameter socket with a path");
  }
  return { kind: "unix", path };
}

function takeTls(
  text: string,
  parameters: Map<string, string>,
  isOn: boolean,
  { username, host }: { readonly username: string | undefined; readonly host: string },
): NbdUriTls | undefined {
  if (!isOn) {
    // what asks for protection mustn't be overlooked
    return undefined;
  }
  const type = take(parameters, "tls-type");
  if (type !== undefined && type !== "x509" && type !== "psk") {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${text}: TLS of type ${JSON.stringify(type)}: expected x509 or psk`);
  }
  const verify = take(parameters, "tls-verify-peer");
  if (verify !== undefined && !/^(?:0|1|true|false|yes|no|on|off)$/i.test(verify)) {
    throw invalid(text, `tls-verify-peer is ${JSON.stringify(verify)}, expected 0 or 1`);
  }
  const verifyPeer = verify === undefined ? undefined : /^(?:1|true|yes|on)$/i.test(verify);
  const hostname = take(parameters, "tls-hostname") ?? (host === "" ? undefined : decode(text, host));
  const certificates = take(parameters, "tls-certificates");
  const pskFile = take(parameters, "tls-psk-file");
  return {
    ...(type === undefined ? {} : { type }),
    ...(username === undefined ? {} : { username }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(verifyPeer === undefined ? {} : { verifyPeer }),
    ...(certificates === undefined ? {} : { certificates }),
    ...(pskFile === undefined ? {} : { pskFile }),
  };
}

function parseQuery(text: string, query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split(/[&;]/).filter((each) => each !== "")) {
    const [key = "", ...value] = pair.split("=");
    const name = decode(text, key);
    if (parameters.has(name)) {
      throw invalid(text, `the parameter ${JSON.stringify(name)} is there twice`);
    }
    parameters.set(name, decode(text, value.join("=")));
  }
  return parameters;
}

function take(parameters: Map<string, string>, name: string): string | undefined {
  const value = parameters.get(name);
  parameters.delete(name);
  return value;
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid(text, `${JSON.stringify(part)} has a % that isn't followed by the digits of a character in UTF-8`);
  }
}

function checkName(text: string, name: string): string {
  if (name.includes("\0") || new TextEncoder().encode(name).length > stringLimit) {
    throw invalid(text, `the name of an export has at most ${stringLimit} bytes, and no NUL`);
  }
  return name;
}

function portNumber(text: string, digits: string | undefined): number {
  const port = digits === undefined || digits === "" ? defaultPort : Number(digits);
  if (port < 1 || port > 65535) {
    throw invalid(text, `port ${String(digits)}, expected 1 to 65535`);
  }
  return port;
}

function invalid(text: string, reason: string): ImgError {
  return new ImgError("EINVAL", `${text}: not an NBD URI: ${reason}`);
}
