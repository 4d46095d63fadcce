export { BridgeOpener, type BridgeOpenerOptions } from "./bridge/bridge-opener.ts";
export type { BridgeLinkOptions } from "./bridge/bridge-link.ts";
export { SyncStorageBridge, type SyncStorageBridgeOptions } from "./bridge/sync-storage-bridge.ts";
export type { ModuleLocation } from "./bridge/worker-thread.ts";
export { createSync, openSync } from "./open-sync.ts";
export { SyncFormatAccess } from "./sync-format-access.ts";
