import { IoVector } from "@img/io-vector";
import {
  ImgError,
  resizeStorage,
  syncStorage,
  tryResizeStorage,
  writeStorage,
  zeroStorage,
  type Io,
  type Storage,
} from "@img/format-core";
import { sectorSize } from "../header/layout.ts";
import type { Qcow2CreateOptions } from "./create-options.ts";
import { newHeader, newL1Size } from "./new-header.ts";
import { planNewImage, type NewImage } from "./new-image.ts";
import { RefcountPlan, type ImagePart } from "./refcount-plan.ts";

/**
 * Makes an empty qcow2 image in `storage`, whatever that holds, and empties the external data file if one is given. Equal options give
 * equal bytes, the ones that qemu-img writes. Nothing is preallocated: that is done in the open image.
 *
 * Everything is checked before anything is changed. The header is written last, in one sector and after all else is durable: until then the
 * storage isn't a qcow2 image.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` naming the options that exclude each other; `ERR_IMG_LIMIT` when the disk is too large for the cluster
 * size; `ERR_IMG_NO_SPACE` when names don't fit into the first cluster, or the image into a storage whose length is fixed; `ERR_IMG_READ_ONLY`.
 */
export function* createImage(storage: Storage, options: Qcow2CreateOptions): Io<void> {
  const planned = planNewImage(options);
  const { header, parts, end } = layOut(planned);
  const dataFile = options.dataFile ?? null;
  const isFixed = yield* empty(storage, end);
  if (dataFile !== null && !(yield* empty(dataFile, planned.size))) {
    yield* setLength(dataFile, planned.size);
  }
  // what a power cut may tear is written first: the header's own sector then makes the whole image appear at once
  const rest = { offset: sectorSize, bytes: header.subarray(sectorSize) };
  for (const { offset, bytes } of [rest, ...parts]) {
    yield* writeStorage(storage, IoVector.from(bytes), offset);
  }
  if (!isFixed) {
    yield* setLength(storage, end);
  }
  yield* syncStorage(storage);
  if (dataFile !== null) {
    yield* syncStorage(dataFile);
  }
  yield* writeStorage(storage, IoVector.from(header.subarray(0, sectorSize)), 0);
  yield* syncStorage(storage);
}

/**
 * Drops all contents; where the length is fixed, makes the first `length` bytes zero.
 * @returns whether the length is fixed
 */
function* empty(storage: Storage, length: number): Io<boolean> {
  if (yield* tryResizeStorage(storage, 0)) {
    return false;
  }
  if (storage.size < length) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `${storage.label} has ${String(storage.size)} bytes: the image needs ${String(length)}`,
      { subject: storage.label },
    );
  }
  yield* zeroStorage(storage, 0, length);
  // a power cut mustn't leave the header of an image that was there with what is written now
  yield* syncStorage(storage);
  return true;
}

function* setLength(storage: Storage, length: number): Io<void> {
  if (storage.size !== length) {
    yield* resizeStorage(storage, length);
  }
}

interface Layout {
  /** The start of the first cluster. */
  readonly header: Uint8Array;
  /** What has to be written beside the header; the rest is zero. */
  readonly parts: readonly ImagePart[];
  /** Length of the file, bytes. */
  readonly end: number;
}

function layOut(planned: NewImage): Layout {
  const clusterSize = 2 ** planned.clusterBits;
  const l1Size = newL1Size(planned);
  const refcounts = new RefcountPlan(clusterSize, planned.refcountOrder);
  const l1TableOffset = l1Size === 0 ? 0 : refcounts.allocate(l1Size * 8);
  const header = newHeader(planned, {
    l1Size,
    l1TableOffset,
    refcountTableOffset: refcounts.tableOffset,
    refcountTableClusters: refcounts.tableClusters,
  });
  const parts = refcounts.parts();
  const ends = parts.map(({ offset, length }) => offset + length);
  return {
    header,
    parts,
    end: ends.reduce((most, each) => Math.max(most, each), l1TableOffset + l1Size * 8),
  };
}
