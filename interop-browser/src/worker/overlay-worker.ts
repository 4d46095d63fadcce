import type { SyncStorage } from "@img/format-core";
import { syncAccessHandleStorage } from "@img/storage-adapters";
import { describeError } from "../shared/describe-error.ts";
import type { OverlayReply, OverlayRequest } from "../shared/overlay-messages.ts";
import { readOverlay } from "./read-overlay.ts";
import { writeOverlay } from "./write-overlay.ts";

const reply = (message: OverlayReply): void => {
  self.postMessage(message);
};

self.addEventListener("message", ({ data }: MessageEvent<OverlayRequest>) => {
  run(data).catch((error: unknown) => {
    reply({ kind: "failed", ...describeError(error) });
  });
});

/** Getting handles is the only thing here that has to be waited for. */
async function run(request: OverlayRequest): Promise<void> {
  const directory = await navigator.storage.getDirectory();
  const file = await directory.getFileHandle(request.name, { create: true });
  const open = async (): Promise<SyncStorage> => {
    const handle = await file.createSyncAccessHandle();
    return syncAccessHandleStorage(handle, { label: `opfs:${JSON.stringify(request.name)}` });
  };
  writeOverlay(request, await open(), reply);
  reply({ kind: "done", result: readOverlay(request, await open()) });
}
