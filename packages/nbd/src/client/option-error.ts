import { ImgError } from "@img/format-core";
import { replyTypes } from "../protocol/handshake-numbers.ts";
import type { OptionReply } from "../protocol/option-reply.ts";

/** What the errors that options fail with are called here, and what they say if the server doesn't. */
const meanings: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [replyTypes.errUnsup]: ["ERR_IMG_UNSUPPORTED", "the server doesn't know what was asked for"],
  [replyTypes.errPolicy]: ["ERR_IMG_DENIED", "the server doesn't allow it"],
  [replyTypes.errInvalid]: ["EINVAL", "the server calls the request invalid"],
  [replyTypes.errPlatform]: ["ERR_IMG_UNSUPPORTED", "the server's platform doesn't support it"],
  [replyTypes.errTlsReqd]: ["ERR_IMG_DENIED", "the server wants TLS (nbds://)"],
  [replyTypes.errUnknown]: ["ENOENT", "there is no such export"],
  [replyTypes.errShutdown]: ["ESHUTDOWN", "the server is shutting down"],
  [replyTypes.errBlockSizeReqd]: ["ERR_IMG_UNSUPPORTED", "the server insists on its block sizes"],
  [replyTypes.errTooBig]: ["ERR_IMG_LIMIT", "the request is too long for the server"],
};

/** The error for an option that the server has refused. @param doing - `cannot open export "disk"` */
export function optionError({ type, data }: OptionReply, label: string, doing: string): ImgError {
  const [code, message] = meanings[type] ?? ["EIO", `the server answered with error 0x${type.toString(16)}`];
  const said = serverText(data);
  const detail = said === "" ? "" : `; it says: ${said}`;
  return new ImgError(code, `${label}: ${doing}: ${message}${detail}`, { subject: label });
}

/** What a server says, safe to be shown: at most 300 characters, and nothing that a terminal would obey. */
export function serverText(message: Uint8Array | string): string {
  const text = typeof message === "string" ? message : new TextDecoder().decode(message.subarray(0, 4096));
  return text
    .replaceAll(/[\p{Cc}\u2028-\u202e\u2066-\u2069]+/gu, " ")
    .trim()
    .slice(0, 300);
}
