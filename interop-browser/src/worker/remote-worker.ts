import { allowAll, ImgError, runSync, type Io, type Storage, type StorageOpener } from "@img/format-core";
import { BridgeOpener, SyncFormatAccess } from "@img/sync";
import { formats } from "../shared/chosen-files.ts";
import { describeError } from "../shared/describe-error.ts";
import type { RemoteReply, RemoteRequest } from "../shared/remote-messages.ts";
import { hashDisk } from "./hash-disk.ts";

const reply = (message: RemoteReply): void => {
  self.postMessage(message);
};

self.addEventListener("message", ({ data }: MessageEvent<RemoteRequest>) => {
  read(new URL(data.url, self.location.href)).then(reply, (error: unknown) => {
    reply({ kind: "failed", ...describeError(error) });
  });
});

/** Reads an image on a server, and what it stands on, as if they were at hand: another worker waits for the network. */
async function read(url: URL): Promise<RemoteReply> {
  await using bridge = new BridgeOpener(new URL("fetch-module.js", self.location.href));
  // browsers start no worker while this one blocks
  await bridge.ready();
  const opener = new SameServer(bridge, url.origin);
  const storage = runSync(opener.open(url.href));
  using disk = new SyncFormatAccess(runSync(formats.openIo(storage, { gate: allowAll({ opener, formats }) })));
  return { kind: "done", image: String(disk), size: disk.size, sha256: hashDisk(disk) };
}

/** Opens only what lies on one server: an image must not make anybody fetch anything else. */
class SameServer implements StorageOpener {
  readonly #bridge: BridgeOpener;
  readonly #origin: string;

  constructor(bridge: BridgeOpener, origin: string) {
    this.#bridge = bridge;
    this.#origin = origin;
  }

  *open(location: string): Io<Storage> {
    if (new URL(location).origin !== this.#origin) {
      throw new ImgError("ERR_IMG_DENIED", `the image wants ${location}, which lies on another server`);
    }
    return yield* this.#bridge.open(location, { writable: false });
  }

  canonical(location: string): Io<string> {
    return this.#bridge.canonical(location);
  }
}
