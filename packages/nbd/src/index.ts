export { duplexPair } from "./stream/duplex-pair.ts";
export type { DuplexStream } from "./stream/duplex-stream.ts";
