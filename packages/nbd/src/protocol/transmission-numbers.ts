/** The first four bytes of messages of the transmission phase. */
export const magics = {
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
  extendedRequest: 0x21e41c71,
  extendedReply: 0x6e8a278c,
} as const;

/** `NBD_CMD_…` */
export const commands = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
  resize: 8,
} as const;

/** `NBD_CMD_FLAG_…` */
export const commandFlags = {
  fua: 1,
  noHole: 2,
  dontFragment: 4,
  reqOne: 8,
  fastZero: 16,
  payloadLength: 32,
} as const;

/** `NBD_REPLY_FLAG_DONE`: the last chunk of a reply. */
export const chunkDone: number = 1;

/** `NBD_REPLY_TYPE_…`; bit 15 says error. */
export const chunkTypes = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  blockStatusExtended: 6,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** Set in the types of all error chunks, known or not. */
export const chunkErrorBit: number = 0x8000;

/** `NBD_E…`: the errors that go over the wire, whatever they are called on the host. */
export const errorNumbers = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** Name of one of {@link errorNumbers}. */
export type NbdErrorName = keyof typeof errorNumbers;

/** Name of an error number from the wire; unknown ones count as `EINVAL`, as the specification says. */
export function errorName(number: number): NbdErrorName {
  for (const [name, value] of Object.entries(errorNumbers)) {
    if (value === number) {
      return name as NbdErrorName;
    }
  }
  return "EINVAL";
}

/** Flags of an extent of the context `base:allocation`. */
export const allocationFlags = {
  /** `NBD_STATE_HOLE`: takes no space. */
  hole: 1,
  /** `NBD_STATE_ZERO`: reads as zero. */
  zero: 2,
} as const;

/** Payload that every peer has to take: 32 MiB. */
export const payloadLimit: number = 32 * 1024 * 1024;
