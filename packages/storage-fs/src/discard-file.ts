import type { Io } from "@img/format-core";
import { changeFile } from "./change-file.ts";
import type { OpenFile } from "./open-file.ts";

/** Gives the space of a range back to the host, if it takes it. Never changes the length. */
export function* discardFile(file: OpenFile, offset: number, length: number): Io<void> {
  const { native, fd } = file;
  const inside = Math.min(offset + length, file.size) - offset;
  if (inside <= 0) {
    return;
  }
  const punched = yield* changeFile(file, "punch hole", native?.punchHole(fd, offset, inside));
  if (!punched && file.kind === "block device") {
    // a device that can forget, but not promise zeroes afterwards
    yield* changeFile(file, "discard device", native?.discardDevice(fd, offset, inside));
  }
}
