export { clientTls, type ClientTlsOptions } from "./node/client-tls.ts";
export { nbdConnector } from "./node/connect-nbd.ts";
export { listenNbd, type NbdListener, type NbdListenOptions, type NbdListenTarget } from "./node/listen-nbd.ts";
export { canonicalNbdUri, listNbd, nbdOpener, openNbd, type OpenNbdOptions } from "./node/open-nbd.ts";
export { serverTls, type ServerTlsOptions } from "./node/server-tls.ts";
export { SocketStream } from "./node/socket-stream.ts";
export { loadPskFile, loadX509Directory, type PskCredentials, type X509Credentials } from "./node/tls-credentials.ts";
