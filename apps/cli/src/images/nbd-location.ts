import { CommandError } from "../errors/command-error.ts";
import type { BlockdevReader } from "./blockdev-reader.ts";

/**
 * The NBD URI for the options of QEMU's driver `nbd`: `filename`, or `host`, `port`, `path` and `export`, or `server.…` in place of the first three.
 * @throws CommandError in qemu-img's words where it has some; TLS is for URIs
 */
export function nbdLocation(reader: BlockdevReader): string {
  const filename = reader.string("filename");
  if (filename !== undefined) {
    if (!/^nbds?[:+]/i.test(filename)) {
      throw new CommandError("File name string for new protocols must start with 'nbd:'");
    }
    return filename;
  }
  if (reader.take("tls-creds") !== undefined) {
    throw new CommandError("'tls-creds' isn't supported [ERR_IMG_UNSUPPORTED]", {
      hint: "nbds://host/export?tls-certificates=directory, or nbds://user@host/export?tls-psk-file=file",
    });
  }
  const name = encodeName(reader.string("export") ?? "");
  const { host, port, path } = server(reader);
  if (path !== undefined) {
    return `nbd+unix:///${name}?socket=${encodeName(path)}`;
  }
  const shown = host.includes(":") ? `[${host}]` : encodeURIComponent(host);
  return `nbd://${shown}:${port}/${name}`;
}

type Place =
  | { readonly path: string; readonly host?: undefined; readonly port?: undefined }
  | { readonly path?: undefined; readonly host: string; readonly port: string };

function server(reader: BlockdevReader): Place {
  const type = reader.string("server.type");
  const prefix = type === undefined ? "" : "server.";
  const path = reader.string(`${prefix}path`);
  const host = reader.string(`${prefix}host`);
  const given = reader.take(`${prefix}port`);
  if (type !== undefined && type !== "unix" && type !== "inet") {
    throw new CommandError(`the server type '${type}' isn't supported [ERR_IMG_UNSUPPORTED]`, {
      hint: "expected inet or unix",
    });
  }
  if (path !== undefined && host !== undefined) {
    throw new CommandError("path and host may not be used at the same time");
  }
  if (path !== undefined && type !== "inet" && given === undefined) {
    return { path };
  }
  if (host === undefined || type === "unix") {
    throw new CommandError(
      type === undefined
        ? "one of path and host must be specified"
        : `Parameter 'server.${type === "unix" ? "path" : "host"}' is missing`,
    );
  }
  return { host, port: String(given ?? 10809) };
}

/** Slashes stay. */
function encodeName(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}
