import { BridgeHost } from "./bridge/bridge-host.ts";
import type { BridgeRequest } from "./bridge/bridge-call.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import { Slots } from "./bridge/slots.ts";
import type { NodeWorkerData } from "./node-worker-thread.ts";

/** Serves the storages of a bridge in this thread, until it is ended. */
export function serveBridge({ port, setup }: NodeWorkerData): void {
  const slots = new Slots(setup.slots, setup.slotSize);
  const host = new BridgeHost(new SharedControl(setup.control), slots, (reply) => {
    port.postMessage(reply);
  });
  port.on("message", (request: BridgeRequest) => {
    void host.handle(request);
  });
}
