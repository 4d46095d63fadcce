export type { OnAmendProgress, Qcow2AmendOptions } from "./amend/amend-options.ts";
export type { BackingReference } from "./amend/change-backing.ts";
export type { BitmapEntry } from "./bitmaps/load-bitmaps.ts";
export type { DirtyExtent } from "./bitmaps/read-bitmap.ts";
export type { ClusterCodec, Codecs, CompressOptions } from "./codecs/codec.ts";
export type { CompressionLibraries, DeflateLibrary, ZstdLibrary } from "./codecs/compression-libraries.ts";
export { libraryCodecs } from "./codecs/library-codecs.ts";
export { checkImage } from "./check/check-image.ts";
export type { CheckOptions } from "./check/check-options.ts";
export { checkQcow2 } from "./check/check-qcow2.ts";
export type { CheckResult } from "./check/check-result.ts";
export { clusterKinds, type ClusterKind } from "./check/cluster-kind.ts";
export { clusterUsage, ClusterUsage, loadClusterUsage, type ClusterRange } from "./check/cluster-usage.ts";
export type { Finding, FindingKind, Repair } from "./check/finding.ts";
export { createImage } from "./create/create-image.ts";
export type { Qcow2CreateOptions } from "./create/create-options.ts";
export { parseLuksHeader, type LuksHeader, type LuksKeySlot } from "./crypto/load-luks-header.ts";
export {
  decodeText,
  extensionTypes,
  parseExtensions,
  parseFeatureNames,
  type FeatureName,
  type HeaderExtension,
} from "./header/extensions.ts";
export {
  autoclear,
  compatible,
  featureNumbers,
  hasFeature,
  incompatible,
  type FeatureBits,
  type FeatureKind,
} from "./header/features.ts";
export type { Qcow2Header } from "./header/header.ts";
export { headerLayout } from "./header/layout.ts";
export { parseHeader } from "./header/parse-header.ts";
export { serializeHeader, type HeaderContents } from "./header/serialize-header.ts";
export type { HostRegion, HostRegions } from "./host-regions.ts";
export type { ImageTables } from "./image-tables.ts";
export type { ClusterMapping } from "./mapping/cluster-mapping.ts";
export type { Qcow2OpenOptions } from "./open/open-options.ts";
export type { Qcow2Info } from "./qcow2-info.ts";
export type { Qcow2Image } from "./qcow2-image.ts";
export { qcow2, qcow2With, type Qcow2Defaults } from "./qcow2.ts";
export { refcountAt } from "./refcounts/refcount.ts";
export type { RefcountReader } from "./refcounts/refcount-reader.ts";
export { planRepair } from "./repair/plan-repair.ts";
export { repairImage } from "./repair/repair-image.ts";
export type { RepairMode } from "./repair/repair-mode.ts";
export type { ApplyRepairOptions, RepairOptions } from "./repair/repair-options.ts";
export type { RepairPlan } from "./repair/repair-plan.ts";
export { planQcow2Repair, repairQcow2 } from "./repair/repair-qcow2.ts";
export type { RepairStep, RepairStepKind } from "./repair/repair-step.ts";
export type { ImageStream } from "./stream/image-stream.ts";
export { planStream } from "./stream/plan-stream.ts";
export type { Qcow2StreamOptions } from "./stream/stream-options.ts";
export type { StreamExtent, StreamSource } from "./stream/stream-source.ts";
export type { BitmapSource, NewBitmap } from "./write/bitmaps/bitmap-changes.ts";
export type { NewSnapshot } from "./write/snapshots/create-snapshot.ts";
export type { SnapshotSelector } from "./snapshots/find-snapshot.ts";
export type { Snapshot } from "./snapshots/snapshot.ts";
export { compressedCluster, entryOffset, type CompressedCluster, type L2EntryLayout } from "./tables/l2-entry.ts";
export type { L1Entry, L1Source } from "./tables/l1-entry.ts";
export type { L1Table } from "./tables/l1-table.ts";
export type { TableReader } from "./tables/table-reader.ts";
export { MetadataCaches, type MetadataCachesParts } from "./write/metadata-caches.ts";
export { ResidentTable } from "./write/resident-table.ts";
export type { OverlapCheck } from "./write/load-metadata-set.ts";
