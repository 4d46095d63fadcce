import { ImgError } from "@img/format-core";

/** An `ImgError` with the code `EPROTO`: the peer sent what the protocol doesn't allow. */
export function protocolError(message: string): ImgError {
  return new ImgError("EPROTO", message);
}
