import { defineFormat, type Format, type FormatDriver } from "@img/format-core";

/** A format that is recognised by its first bytes and does nothing. */
export function magicFormat(name: string, magic: readonly number[], probeLength: number = magic.length): Format {
  return defineFormat<FormatDriver, object, object>({
    name,
    extensions: [],
    probeLength,
    probe: (header) =>
      header.length >= magic.length && magic.every((byte, index) => header[index] === byte) ? 100 : 0,
    *open() {
      throw new Error("not to be opened");
    },
  });
}
