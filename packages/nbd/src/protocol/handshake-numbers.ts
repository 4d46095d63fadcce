/** Where NBD listens unless told otherwise (IANA). */
export const defaultPort: number = 10809;

/** First eight bytes of every greeting, "NBDMAGIC". */
export const initPasswd: readonly [high: number, low: number] = [0x4e42444d, 0x41474943];

/** What says "newstyle" in a greeting and begins every option, "IHAVEOPT". */
export const optionMagic: readonly [high: number, low: number] = [0x49484156, 0x454f5054];

/** What says "oldstyle" in a greeting (`cliserv_magic`). */
export const oldstyleMagic: readonly [high: number, low: number] = [0x00004202, 0x81861253];

/** What begins every reply to an option. */
export const optionReplyMagic: readonly [high: number, low: number] = [0x0003e889, 0x045565a9];

/** Handshake flags of the server; the client answers with the same bits. */
export const handshakeFlags = {
  /** `NBD_FLAG_FIXED_NEWSTYLE`: unknown options are answered instead of ending the connection. */
  fixedNewstyle: 1,
  /** `NBD_FLAG_NO_ZEROES`: no padding behind the answer to `NBD_OPT_EXPORT_NAME`. */
  noZeroes: 2,
} as const;

/** `NBD_OPT_…` */
export const optionTypes = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

/** `NBD_REP_…`; those from 2^31 on are errors. */
export const replyTypes = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsup: 0x8000_0001,
  errPolicy: 0x8000_0002,
  errInvalid: 0x8000_0003,
  errPlatform: 0x8000_0004,
  errTlsReqd: 0x8000_0005,
  errUnknown: 0x8000_0006,
  errShutdown: 0x8000_0007,
  errBlockSizeReqd: 0x8000_0008,
  errTooBig: 0x8000_0009,
  errExtHeaderReqd: 0x8000_000a,
} as const;

/** `NBD_INFO_…` */
export const infoTypes = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** Transmission flags, `NBD_FLAG_…`: what an export can do. */
export const transmissionFlags = {
  hasFlags: 0x1,
  readOnly: 0x2,
  sendFlush: 0x4,
  sendFua: 0x8,
  rotational: 0x10,
  sendTrim: 0x20,
  sendWriteZeroes: 0x40,
  sendDf: 0x80,
  canMultiConn: 0x100,
  sendResize: 0x200,
  sendCache: 0x400,
  sendFastZero: 0x800,
  blockStatusPayload: 0x1000,
} as const;

/** Most bytes of a string (a name, a description, a query, a message); the specification's "string". */
export const stringLimit: number = 4096;
