export { createSync, openSync } from "./open-sync.ts";
export { SyncFormatAccess } from "./sync-format-access.ts";
