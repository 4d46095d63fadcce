import type { NbdRequest } from "../protocol/request.ts";
import { commandFlags as flag, commands, type NbdErrorName } from "../protocol/transmission-numbers.ts";
import { blockSizeOf, isWritable } from "./export-features.ts";
import type { Negotiated } from "./handshake.ts";

/** What is wrong with a request. */
export interface RequestFault {
  readonly error: NbdErrorName;
  /** For people on the other side. */
  readonly message: string;
}

/** Bytes behind a request's header, which have to be consumed whatever is wrong with it. */
export function payloadOf(request: NbdRequest, { style }: Negotiated): number {
  const extended = style === "extended";
  const payload = request.type === commands.write || (extended && (request.flags & flag.payloadLength) !== 0);
  return payload ? request.length : 0;
}

/**
 * Checks a request before anything is done about it: flags first, then whether the export may be changed and can do it, then alignment
 * and range.
 */
export function checkRequest(request: NbdRequest, negotiated: Negotiated): RequestFault | undefined {
  const { export: exported } = negotiated;
  if ((request.flags & ~allowedFlags(request.type, negotiated)) !== 0) {
    return {
      error: "EINVAL",
      message: `flags 0x${request.flags.toString(16)} aren't allowed for command ${request.type}`,
    };
  }
  switch (request.type) {
    case commands.read:
    case commands.blockStatus:
      return request.type === commands.blockStatus && (request.flags & flag.payloadLength) !== 0
        ? undefined
        : checkRange(request, negotiated, "EINVAL");
    case commands.cache:
      return exported.cache === undefined ? unsupported(request) : checkRange(request, negotiated, "EINVAL");
    case commands.write:
      return checkChange(request, negotiated, true, "ENOSPC");
    case commands.writeZeroes:
      return checkChange(request, negotiated, exported.writeZeroes !== undefined, "ENOSPC");
    case commands.trim:
      return checkChange(request, negotiated, exported.trim !== undefined, "EINVAL");
    case commands.flush:
      return undefined;
    default:
      return unsupported(request);
  }
}

function allowedFlags(type: number, { style, export: exported, contexts }: Negotiated): number {
  switch (type) {
    case commands.read:
      return flag.fua | (style === "simple" ? 0 : flag.dontFragment);
    case commands.write:
      return flag.fua | (style === "extended" ? flag.payloadLength : 0);
    case commands.writeZeroes:
      return flag.fua | flag.noHole | (exported.fastZero === true ? flag.fastZero : 0);
    case commands.blockStatus:
      return (
        flag.fua |
        flag.reqOne |
        (style === "extended" && contexts !== undefined && contexts.byId.size > 0 ? flag.payloadLength : 0)
      );
    default:
      return flag.fua;
  }
}

function checkChange(
  request: NbdRequest,
  negotiated: Negotiated,
  supported: boolean,
  pastEnd: NbdErrorName,
): RequestFault | undefined {
  if (!isWritable(negotiated.export)) {
    return { error: "EPERM", message: "the export is read-only" };
  }
  return supported ? checkRange(request, negotiated, pastEnd) : unsupported(request);
}

function unsupported({ type }: NbdRequest): RequestFault {
  return { error: "EINVAL", message: `command ${type} isn't offered` };
}

/** Checks where a request lies. @param pastEnd - the error for what ends past the export's end */
export function checkRange(
  { offset, length, type }: Pick<NbdRequest, "offset" | "length" | "type">,
  { export: exported }: Pick<Negotiated, "export">,
  pastEnd: NbdErrorName,
): RequestFault | undefined {
  const { minimum, maximum } = blockSizeOf(exported);
  if (offset + length > exported.size) {
    return { error: pastEnd, message: `the range ends past the export's end at 0x${exported.size.toString(16)}` };
  }
  if (offset % minimum !== 0 || length % minimum !== 0) {
    return { error: "EINVAL", message: `offset and length have to be multiples of ${minimum} bytes` };
  }
  if ((type === commands.read || type === commands.write) && length > maximum) {
    return { error: "EINVAL", message: `${length} bytes at once: at most ${maximum} are allowed` };
  }
  return type === commands.blockStatus && length === 0
    ? { error: "EINVAL", message: "the status of 0 bytes" }
    : undefined;
}
