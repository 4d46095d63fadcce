import { hex, ImgError } from "@img/format-core";
import { commands, errorName } from "../protocol/transmission-numbers.ts";
import { serverText } from "./option-error.ts";
import type { PendingRequest } from "./pending-request.ts";

const verbs: Readonly<Record<number, string>> = {
  [commands.read]: "read",
  [commands.write]: "write",
  [commands.trim]: "discard",
  [commands.cache]: "prefetch",
  [commands.writeZeroes]: "zero",
  [commands.blockStatus]: "tell about",
};

/** The error for a request that the server has refused. `ENOTSUP` is `ERR_IMG_UNSUPPORTED`; others have their names. */
export function requestError(request: PendingRequest, number: number, message: string, label: string): ImgError {
  const name = errorName(number);
  const verb = verbs[request.type];
  const doing = verb === undefined ? "flush" : `${verb} ${String(request.length)} bytes at ${hex(request.offset)}`;
  const said = serverText(message);
  const text = `${label}: the server couldn't ${doing}: ${name}${said === "" ? "" : `; it says: ${said}`}`;
  return new ImgError(name === "ENOTSUP" ? "ERR_IMG_UNSUPPORTED" : name, text, { subject: label });
}
