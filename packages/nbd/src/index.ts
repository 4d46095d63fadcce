export type { ClientTls, NbdConnector, NegotiateOptions } from "./client/client-options.ts";
export { listExports, type ListExportsOptions } from "./client/list-exports.ts";
export { NbdStorage, type NbdExportFacts, type NbdStorageOptions } from "./nbd-storage.ts";
export type { StatusExtent } from "./protocol/chunk-payload.ts";
export type { ExportEntry } from "./protocol/export-entry.ts";
export type { BlockSizes } from "./protocol/info-item.ts";
export { allocationFlags, commands, type NbdErrorName } from "./protocol/transmission-numbers.ts";
export type { NamedExport, NbdExports, NbdExportSource } from "./server/export-source.ts";
export { formatExport, type ExportOptions, type FormatExportOptions } from "./server/format-export.ts";
export type { ExportZeroOptions, NbdExport, NbdMetaContext } from "./server/nbd-export.ts";
export type { NbdPeer } from "./server/nbd-peer.ts";
export { NbdServer, serveConnection, type NbdCloseOptions } from "./server/nbd-server.ts";
export type {
  AnsweredRequest,
  NbdObserver,
  NbdServerOptions,
  SecuredStream,
  ServerTls,
} from "./server/server-options.ts";
export type { ReplyStyle } from "./protocol/reply.ts";
export { storageExport } from "./server/storage-export.ts";
export { duplexPair } from "./stream/duplex-pair.ts";
export type { DuplexStream } from "./stream/duplex-stream.ts";
export { messagePortStream, type MessagePortLike } from "./stream/message-port-stream.ts";
export { webSocketStream, type WebSocketLike } from "./stream/web-socket-stream.ts";
export { webStream, type ReadableBytes, type WritableBytes } from "./stream/web-stream.ts";
export { formatNbdUri } from "./uri/format-nbd-uri.ts";
export type { NbdUri, NbdUriTls } from "./uri/nbd-uri.ts";
export { nbdSchemes, parseNbdUri } from "./uri/parse-nbd-uri.ts";
