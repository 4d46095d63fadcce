import type { BlockSizes } from "../protocol/info-item.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import { payloadLimit } from "../protocol/transmission-numbers.ts";

/** What holds where a server doesn't say. */
export const defaultBlockSizes: BlockSizes = { minimum: 1, preferred: 4096, maximum: payloadLimit };

/** @throws ImgError `EPROTO` for sizes that no request could have */
export function checkBlockSizes({ minimum, preferred, maximum }: BlockSizes, label: string): BlockSizes {
  const isPower = minimum > 0 && minimum <= 65536 && Number.isInteger(Math.log2(minimum));
  if (!isPower || maximum < minimum) {
    throw protocolError(
      `${label}: requests of ${minimum} to ${maximum} bytes: expected a power of two up to 65536, and more`,
    );
  }
  return { minimum, preferred, maximum };
}
