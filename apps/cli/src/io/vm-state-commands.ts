import { ImgError, runAsync, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { Qcow2Image } from "@img/qcow2";
import type { IoContext } from "./io-command.ts";
import { IoError } from "./io-error.ts";
import type { TransferRange } from "./transfer.ts";

type VmStateDriver = Pick<Qcow2Image, "readVmState" | "writeVmState">;

/** Reads the VM state behind the disk. */
export function readVmState(context: IoContext, bytes: Uint8Array, { offset }: TransferRange): Promise<void> {
  return withDriver(context, (driver) => driver.readVmState(IoVector.single(bytes), offset));
}

/** Writes the VM state behind the disk. */
export function writeVmState(context: IoContext, bytes: Uint8Array, { offset }: TransferRange): Promise<void> {
  return withDriver(context, (driver) => driver.writeVmState(IoVector.single(bytes), offset));
}

/** @throws IoError for a range that isn't of whole sectors */
export function checkVmStateRange({ offset, total }: TransferRange): void {
  for (const [name, value] of [
    ["offset", offset],
    ["count", total],
  ] as const) {
    if (value % 512 !== 0) {
      throw new IoError(`${String(value)} is not a sector-aligned value for '${name}'`);
    }
  }
}

async function withDriver({ image }: IoContext, work: (driver: VmStateDriver) => Io<void>): Promise<void> {
  const { driver } = image;
  if (!isVmStateDriver(driver)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images have no VM state`, { feature: "VM state" });
  }
  await runAsync(image.io.shared(() => work(driver)));
}

function isVmStateDriver(driver: object): driver is VmStateDriver {
  return "readVmState" in driver && "writeVmState" in driver;
}
