import { alignUp, ImgError, type FormatAccess, type Io } from "@img/format-core";
import { planStream, type Qcow2StreamOptions } from "@img/qcow2";
import { convertSettings } from "../convert/convert-options.ts";
import { SourceDisk } from "../convert/source-disk.ts";
import { TargetComparison } from "../convert/target-comparison.ts";
import type { ChunkSource } from "./chunk-source.ts";
import { DiskExtents } from "./disk-extents.ts";
import { PacedChunks } from "./paced-chunks.ts";
import { RawChunks } from "./raw-chunks.ts";
import { shownThrough } from "./shown-through.ts";
import type { StreamOptions } from "./stream-options.ts";

const sectorSize = 512;
const defaultChunkSize = 1024 * 1024;

/** Plans a stream: finds out how long it is, and reads no data unless it is asked to look at it. */
export function* planChunks(sources: readonly FormatAccess[], options: StreamOptions): Io<ChunkSource> {
  if (sources.length === 0) {
    throw new RangeError("sources: expected at least one");
  }
  const { chunkSize = defaultChunkSize, rate = Infinity } = options;
  if (!Number.isSafeInteger(chunkSize) || chunkSize < sectorSize) {
    throw new RangeError(`chunkSize ${String(chunkSize)}: expected an integer of at least ${String(sectorSize)}`);
  }
  if (!(rate > 0)) {
    throw new RangeError(`rate ${String(rate)}: expected a number above 0`);
  }
  const disk = new SourceDisk(sources, options.onUnreadable);
  const chunks =
    options.format === "raw"
      ? planRaw(disk, options, alignUp(chunkSize, sectorSize))
      : yield* planQcow2(disk, options, chunkSize);
  return new PacedChunks(chunks, sources, rate);
}

function planRaw(disk: SourceDisk, options: StreamOptions, chunkSize: number): ChunkSource {
  if (options.backingFile !== undefined) {
    throw refusal("backingFile", "raw images have none");
  }
  const { createOptions = {} } = options;
  for (const [name, value] of Object.entries(createOptions)) {
    if (value !== undefined && value !== null && value !== false && value !== "none") {
      throw refusal(name, "a raw stream is nothing but the bytes of the disk");
    }
  }
  return new RawChunks(disk, chunkSize);
}

function* planQcow2(disk: SourceDisk, options: StreamOptions, chunkSize: number): Io<ChunkSource> {
  const { detect = "allocation", memory, backingFile, backing } = options;
  if (backingFile !== undefined && backing === undefined) {
    throw new ImgError(
      "ERR_IMG_DENIED",
      `the image is to have the backing file ${JSON.stringify(backingFile.name)}: give it as "backing", or null to leave nothing out`,
    );
  }
  if (backingFile !== undefined && detect === "nothing") {
    throw refusal("backingFile", "everything is to be stored");
  }
  // the options are checked by whoever plans the image
  const given = { ...options.createOptions } as Qcow2StreamOptions;
  const { clusterSize = 65536, extendedL2 = false } = given;
  const granule = extendedL2 ? clusterSize / 32 : clusterSize;
  const comparison =
    backingFile === undefined || backing === undefined || backing === null
      ? undefined
      : new TargetComparison(
          disk,
          shownThrough(backing, disk.size, granule),
          convertSettings({ noSnapshotsBelow: options.noSnapshotsBelow ?? false }),
        );
  const source = new DiskExtents(disk, { detect, granule, comparison });
  return yield* planStream(source, {
    ...given,
    chunkSize,
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(memory === undefined ? {} : { memory }),
  });
}

function refusal(feature: string, reason: string): ImgError {
  return new ImgError("ERR_IMG_UNSUPPORTED", `${feature} in an image that is streamed: ${reason}`, { feature });
}
