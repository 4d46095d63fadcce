import { alignUp, checkpoint, ImgError, type Io } from "@img/format-core";
import { newHeader, newL1Size } from "../create/new-header.ts";
import { planNewImage, type NewImage } from "../create/new-image.ts";
import { sectorSize, subclusterCount } from "../header/layout.ts";
import { ClusterRuns } from "./cluster-runs.ts";
import { DataSection } from "./data-section.ts";
import { ImageStream } from "./image-stream.ts";
import { L2Section } from "./l2-section.ts";
import { l1Section } from "./l1-section.ts";
import { PlannedRuns } from "./planned-runs.ts";
import { PresentTables } from "./present-tables.ts";
import { refcountBlocksSection, refcountTableSection } from "./refcount-sections.ts";
import type { Section } from "./section.ts";
import type { GranuleRules } from "./source-runs.ts";
import { layOutStream, type StreamLayout } from "./stream-layout.ts";
import type { Qcow2StreamOptions } from "./stream-options.ts";
import type { StreamSource } from "./stream-source.ts";

const defaultChunkSize = 1024 * 1024;
const defaultMemory = 16 * 1024 * 1024;

/**
 * Plans an image that is written from its first byte to its last, without going back: header, refcounts, L1 table, L2 tables, data, with no gaps
 * in between. Its length is known then; no data was read. Equal sources and options give equal bytes.
 *
 * Takes constant memory: a bit for each possible L2 table (at most 512 KiB), what `memory` allows, and a chunk.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` as for a new image, and for what can't be streamed: preallocation, external data files; `ERR_IMG_LIMIT` when
 * the disk is too large for the cluster size; and what the source throws
 */
export function* planStream(source: StreamSource, options: Qcow2StreamOptions): Io<ImageStream> {
  const { chunkSize = defaultChunkSize, memory = defaultMemory } = options;
  if (!Number.isSafeInteger(chunkSize) || chunkSize < sectorSize) {
    throw new RangeError(`chunkSize ${String(chunkSize)}: expected an integer of at least ${String(sectorSize)}`);
  }
  if (!(memory >= 0)) {
    throw new RangeError(`memory ${String(memory)}: expected a number of at least 0`);
  }
  refuseUnstreamable(options);
  const planned = planNewImage({ ...options, size: source.size });
  const clusterSize = 2 ** planned.clusterBits;
  const perCluster = planned.extendedL2 ? subclusterCount : 1;
  const rules: GranuleRules = {
    granule: clusterSize / perCluster,
    backed: planned.backingFile !== undefined,
    hasZeroFlag: planned.version === 3,
  };
  const runs = new PlannedRuns(source, rules, memory);
  const present = new PresentTables(newL1Size(planned));
  const entryLength = planned.extendedL2 ? 16 : 8;
  const dataClusters = yield* count(new ClusterRuns(runs, perCluster), present, clusterSize / entryLength);
  const layout = layOutStream({
    clusterSize,
    refcountOrder: planned.refcountOrder,
    l1Size: newL1Size(planned),
    l2Tables: present.count,
    dataClusters,
  });
  const sections = [
    headerSection(planned, layout),
    refcountTableSection(layout),
    refcountBlocksSection(layout),
    l1Section(layout, present),
    new L2Section(layout, new ClusterRuns(runs.again(), perCluster), entryLength),
    new DataSection(layout, source, new ClusterRuns(runs.again(), perCluster), rules.granule),
  ];
  return new ImageStream(sections, alignUp(chunkSize, sectorSize));
}

/** Options that a caller may have for new images, and that say nothing that a stream could do. */
function refuseUnstreamable(options: Qcow2StreamOptions): void {
  const given: Readonly<Record<string, unknown>> = { ...options };
  const reasons: readonly (readonly [option: string, reason: string])[] = [
    ["dataFileName", "the data would go to another file"],
    ["dataFile", "the data would go to another file"],
    ["dataFileRaw", "the data would go to another file"],
    ["preallocation", "what isn't stored has no place"],
    ["compressed", "where compressed clusters are is known only after they were made"],
  ];
  for (const [option, reason] of reasons) {
    const value = given[option];
    if (value !== undefined && value !== null && value !== false && value !== "none") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${option} in an image that is streamed: ${reason}`, {
        feature: option,
      });
    }
  }
}

/** Notes which L2 tables there are; returns the number of clusters with data. */
function* count(runs: ClusterRuns, present: PresentTables, perTable: number): Io<number> {
  let cluster = 0;
  let data = 0;
  for (;;) {
    yield* checkpoint();
    const run = yield* runs.next();
    if (run === undefined) {
      return data;
    }
    if (run.stored !== 0 || run.zeroes !== 0) {
      present.add(Math.floor(cluster / perTable), Math.floor((cluster + run.count - 1) / perTable));
    }
    data += run.stored === 0 ? 0 : run.count;
    cluster += run.count;
  }
}

function headerSection(planned: NewImage, layout: StreamLayout): Section {
  const { clusterSize, refcountTableClusters, l1Size, l1Start } = layout;
  const header = newHeader(planned, {
    l1Size,
    l1TableOffset: l1Size === 0 ? 0 : l1Start * clusterSize,
    refcountTableOffset: clusterSize,
    refcountTableClusters,
  });
  return {
    length: clusterSize,
    *fill(into, position): Io<void> {
      into.set(header.subarray(position, position + into.length));
    },
  };
}
