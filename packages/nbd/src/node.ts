export { listenNbd, type NbdListener, type NbdListenOptions, type NbdListenTarget } from "./node/listen-nbd.ts";
export { serverTls, type ServerTlsOptions } from "./node/server-tls.ts";
export { SocketStream } from "./node/socket-stream.ts";
export { loadPskFile, loadX509Directory, type PskCredentials, type X509Credentials } from "./node/tls-credentials.ts";
