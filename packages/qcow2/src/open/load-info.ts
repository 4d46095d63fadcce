import { ImgError, type Io, type Storage } from "@img/format-core";
import { loadBitmaps } from "../bitmaps/load-bitmaps.ts";
import { loadLuksHeader } from "../crypto/load-luks-header.ts";
import { autoclear, compatible, hasFeature, incompatible } from "../header/features.ts";
import { sectorSize } from "../header/layout.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import type { Qcow2Info } from "../qcow2-info.ts";
import { loadSnapshots } from "../snapshots/load-snapshots.ts";

const encryptions = ["none", "aes", "luks"] as const;

/**
 * Reads what the header points at, apart from the mapping tables.
 * @throws ImgError `ERR_IMG_CORRUPT`, `ERR_IMG_UNSUPPORTED`
 */
export function* loadInfo(storage: Storage, loaded: LoadedHeader): Io<Qcow2Info> {
  const { header, known } = loaded;
  const has = (bits: typeof header.incompatibleFeatures, bit: number): boolean => hasFeature(bits, bit);
  const externalDataFile = has(header.incompatibleFeatures, incompatible.dataFile);
  const dataFileRaw = has(header.autoclearFeatures, autoclear.rawDataFile);
  if (dataFileRaw && !externalDataFile) {
    throw new ImgError("ERR_IMG_CORRUPT", "the image claims a raw data file, but has no external data file");
  }
  const encryption = encryptions[header.cryptMethod];
  const hasBitmaps = has(header.autoclearFeatures, autoclear.bitmaps);
  return {
    version: header.version,
    compat: header.version === 2 ? "0.10" : "1.1",
    virtualSize: header.size - (header.size % sectorSize),
    clusterSize: 2 ** header.clusterBits,
    refcountBits: 2 ** header.refcountOrder,
    compressionType: header.compressionType,
    lazyRefcounts: has(header.compatibleFeatures, compatible.lazyRefcounts),
    extendedL2: has(header.incompatibleFeatures, incompatible.extendedL2),
    dirty: has(header.incompatibleFeatures, incompatible.dirty),
    corrupt: has(header.incompatibleFeatures, incompatible.corrupt),
    backingFile: loaded.backingName,
    backingFormat: loaded.backingName === undefined ? undefined : known.backingFormat,
    externalDataFile,
    dataFile: externalDataFile ? known.dataFileName : undefined,
    dataFileRaw,
    encryption,
    luks:
      encryption === "luks" && known.crypto !== undefined ? yield* loadLuksHeader(storage, known.crypto) : undefined,
    snapshots: yield* loadSnapshots(storage, header),
    // a writer that doesn't know bitmaps clears the bit: what it leaves behind means nothing
    bitmaps: hasBitmaps && known.bitmaps !== undefined ? yield* loadBitmaps(storage, known.bitmaps) : [],
  };
}
