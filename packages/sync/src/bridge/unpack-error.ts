import { ImgError } from "@img/format-core";
import type { PortableError } from "./portable-error.ts";

/** The error that `packError` packed, of the same class where the class is one of ours or a programmer's mistake. */
export function unpackError(packed: PortableError): Error {
  const { kind, name, message, details } = packed;
  const options = packed.cause === undefined ? {} : { cause: unpackError(packed.cause) };
  switch (kind) {
    case "img":
      return new ImgError(String(details["code"]), message, { ...options, ...details });
    case "type":
      return Object.assign(new TypeError(message, options), details);
    case "range":
      return Object.assign(new RangeError(message, options), details);
    case "other": {
      const error = new Error(message, options);
      Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
      return Object.assign(error, details);
    }
  }
}
