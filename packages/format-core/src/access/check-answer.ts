import { ImgError } from "../errors/img-error.ts";
import type { FormatDriver, HandledRange, PreparedWrite } from "../format/driver.ts";
import type { ShallowMapping } from "../mapping/mapping.ts";
import { hex } from "../numbers/offsets.ts";

/**
 * Refuses a driver's mapping that says nothing about the byte at `offset`: whoever goes on behind it would ask for ever.
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function checkMapping(driver: FormatDriver, { kind, length }: ShallowMapping, offset: number): void {
  if (!(length > 0) && kind !== "eof") {
    throw nonsense(driver, `maps ${String(length)} bytes at ${hex(offset)} as ${kind}: expected at least 1`);
  }
}

/**
 * Refuses, and aborts, a prepared write in which nothing can be written.
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function checkPrepared(driver: FormatDriver, prepared: PreparedWrite, offset: number): PreparedWrite {
  if (prepared.length > 0) {
    return prepared;
  }
  prepared.abort();
  throw nonsense(driver, `made ${String(prepared.length)} bytes at ${hex(offset)} writable: expected at least 1`);
}

/**
 * Refuses an answer about a range that doesn't begin in it.
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function checkHandled(
  driver: FormatDriver,
  handled: HandledRange,
  { offset, length }: HandledRange,
): HandledRange {
  const isInside = handled.offset >= offset && handled.offset < offset + length;
  if (handled.length === 0 || (handled.length > 0 && isInside)) {
    return handled;
  }
  throw nonsense(
    driver,
    `took care of ${String(handled.length)} bytes at ${hex(handled.offset)}: expected a part of the ${String(length)} bytes at ${hex(offset)}`,
  );
}

function nonsense(driver: FormatDriver, found: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", `${String(driver)} ${found}`, { subject: String(driver) });
}
