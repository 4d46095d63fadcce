import type { FormatDriver, Io, Storage } from "@img/format-core";
import type { Qcow2Image } from "@img/qcow2";
import { debugStorageIn } from "./debug-storage.ts";

/** Tells a {@link DebugStorage}, if an image lies in one, what lies where: in a qcow2 image what its tables say, otherwise data everywhere. */
export function* watchRegions(storage: Storage, driver: FormatDriver): Io<void> {
  const debug = debugStorageIn(storage);
  if (debug !== undefined) {
    debug.regionAt = isQcow2(driver) ? yield* driver.hostRegions(debug.inner) : () => "data";
  }
}

function isQcow2(driver: FormatDriver): driver is Qcow2Image {
  return driver.format === "qcow2" && "hostRegions" in driver;
}
