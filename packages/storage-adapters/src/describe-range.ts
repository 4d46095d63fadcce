import { hex } from "@img/format-core";

/** `read 512 bytes at 0x200`: what is being done, for errors. */
export function describeRange(verb: string, offset: number, length: number): string {
  return `${verb} ${String(length)} bytes at ${hex(offset)}`;
}
