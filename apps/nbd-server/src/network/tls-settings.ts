import { CommandError, parseKeyValues, type ParsedArguments } from "@img/cli";
import type { ServerTls } from "@img/nbd";
import { loadPskFile, loadX509Directory, serverTls } from "@img/nbd/node";
import { join } from "node:path";
import { choice, onOff } from "../arguments/choice.ts";

/** Credentials that the command line names. */
interface TlsObject {
  readonly type: "tls-creds-x509" | "tls-creds-psk";
  readonly directory: string;
  readonly verifyPeer: boolean;
}

/**
 * How the command line wants TLS to be used; `undefined`: not at all. QEMU's way (`--object`, `--tls-creds`) and nbdkit's (`--tls-certificates`,
 * `--tls-psk`) lead to the same.
 * @throws CommandError for what isn't understood; ImgError when a file can't be read
 */
export async function tlsSettings(args: ParsedArguments): Promise<ServerTls | undefined> {
  try {
    return await settings(args);
  } catch (error) {
    throw error instanceof RangeError ? new CommandError(`TLS: ${error.message}`, { cause: error }) : error;
  }
}

async function settings(args: ParsedArguments): Promise<ServerTls | undefined> {
  const objects = tlsObjects(args);
  const id = args.value("tls-creds");
  const directory = args.value("tls-certificates");
  const keys = args.value("tls-psk");
  const mode = choice(args, "tls", ["required", "optional"], "required");
  if ([id, directory, keys].filter((way) => way !== undefined).length > 1) {
    throw new CommandError("--tls-creds, --tls-certificates and --tls-psk exclude each other");
  }
  if (keys !== undefined) {
    return serverTls(await loadPskFile(keys), { mode });
  }
  if (directory !== undefined) {
    const verifyPeer = args.has("tls-verify-peer");
    return serverTls(await loadX509Directory(directory, "server"), { mode, verifyPeer });
  }
  if (id === undefined) {
    if (args.has("tls")) {
      throw new CommandError("--tls needs credentials: --tls-creds, --tls-certificates or --tls-psk");
    }
    return undefined;
  }
  const object = objects.get(id);
  if (object === undefined) {
    throw new CommandError(`Failed to get TLS creds: No TLS credentials with id '${id}'`);
  }
  return object.type === "tls-creds-psk"
    ? serverTls(await loadPskFile(join(object.directory, "keys.psk")), { mode })
    : serverTls(await loadX509Directory(object.directory, "server"), { mode, verifyPeer: object.verifyPeer });
}

function tlsObjects(args: ParsedArguments): ReadonlyMap<string, TlsObject> {
  const objects = new Map<string, TlsObject>();
  for (const text of args.values("object")) {
    const [first, ...rest] = parseKeyValues(text);
    const type = first?.key === "qom-type" ? first.value : first?.key;
    if (type !== "tls-creds-x509" && type !== "tls-creds-psk") {
      throw new CommandError(`--object ${type ?? ""} isn't supported [ERR_IMG_UNSUPPORTED]`, {
        hint: "supported objects: tls-creds-x509, tls-creds-psk",
      });
    }
    const [id, object] = tlsObject(type, rest);
    objects.set(id, object);
  }
  return objects;
}

function tlsObject(type: TlsObject["type"], pairs: ReturnType<typeof parseKeyValues>): readonly [string, TlsObject] {
  let id: string | undefined;
  let directory: string | undefined;
  let verifyPeer = true;
  for (const { key, value } of pairs) {
    switch (key) {
      case "id":
        id = value;
        break;
      case "dir":
        directory = value;
        break;
      case "verify-peer":
        verifyPeer = onOff(key, value);
        break;
      case "endpoint":
        if (value !== "server") {
          throw new CommandError(`Expecting TLS credentials with a server endpoint`);
        }
        break;
      default:
        throw new CommandError(`--object ${type}: Invalid parameter '${key}'`);
    }
  }
  if (id === undefined || directory === undefined) {
    throw new CommandError(`--object ${type}: Parameter '${id === undefined ? "id" : "dir"}' is missing`);
  }
  return [id, { type, directory, verifyPeer }];
}
