import type { BlockSizes } from "../protocol/info-item.ts";

const minimumLimit = 65536;
/** What says that there is no limit. */
const unlimited = 0xffff_ffff;

/**
 * Checks what an export is to ask of requests, as the specification has it.
 * @throws RangeError unless `minimum` is a power of two up to 64 KiB, `preferred` one that isn't less, and `maximum` a multiple of `minimum` that isn't less than
 * `preferred`, or 2^32-1
 */
export function checkBlockSize(blockSize: BlockSizes | undefined): void {
  if (blockSize === undefined) {
    return;
  }
  const { minimum, preferred, maximum } = blockSize;
  if (!isPowerOfTwo(minimum) || minimum > minimumLimit) {
    throw new RangeError(`blockSize.minimum ${minimum}: expected a power of two up to ${minimumLimit}`);
  }
  if (!isPowerOfTwo(preferred) || preferred < minimum) {
    throw new RangeError(`blockSize.preferred ${preferred}: expected a power of two from ${minimum} on`);
  }
  if (maximum !== unlimited && (maximum % minimum !== 0 || !(maximum >= preferred && maximum < unlimited))) {
    throw new RangeError(`blockSize.maximum ${maximum}: expected a multiple of ${minimum} from ${preferred} on`);
  }
}

function isPowerOfTwo(value: number): boolean {
  return value >= 1 && value <= 2 ** 31 && Number.isInteger(Math.log2(value));
}
