import { FormatRegistry, MemoryStorage } from "@img/format-core";
import { formatExport, messagePortStream, NbdServer, storageExport } from "@img/nbd";
import { qcow2 } from "@img/qcow2";
import { blobStorage } from "@img/storage-adapters";
import type { NbdServerStart } from "./nbd-messages.ts";

/** Serves a file of the page's, and a disk in memory, to whoever comes. */
self.onmessage = ({ data }: MessageEvent<NbdServerStart>): void => {
  void serve(data);
};

async function serve({ file, clients }: NbdServerStart): Promise<void> {
  const image = await new FormatRegistry([qcow2]).open(blobStorage(file));
  const memory = new MemoryStorage(new Uint8Array(1024 * 1024), { fixedSize: true });
  const server = new NbdServer(
    new Map([
      ["file", formatExport(image, { description: file.name })],
      ["memory", storageExport(memory)],
    ]),
  );
  clients.onmessage = ({ data }: MessageEvent<MessagePort>): void => {
    void server.serve(messagePortStream(data, "client"));
  };
}
