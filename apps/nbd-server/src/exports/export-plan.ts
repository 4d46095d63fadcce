import type { SnapshotOption, SpecifiedImage } from "@img/cli";

/** How all images are used. */
export interface DiskUse {
  /** Past the host's page cache. */
  readonly direct: boolean;
  /** What clients flush is made durable. */
  readonly durable: boolean;
  /** Everything that clients write is made durable before it is answered. */
  readonly writeThrough: boolean;
  /** Clients may free space. */
  readonly discard: boolean;
  readonly detectZeroes: "off" | "on" | "unmap";
}

/** How an image is shown, whichever it is. */
export interface ExportTraits {
  readonly readOnly: boolean;
  /** Writes go to an overlay that nobody keeps. */
  readonly scratch: boolean;
  /** An internal snapshot instead of the disk as it is. */
  readonly snapshot?: SnapshotOption;
  /** All internal snapshots besides. */
  readonly allSnapshots: boolean;
  readonly bitmaps: readonly string[];
  readonly allBitmaps: boolean;
  readonly allocationDepth: boolean;
  /** Bytes at the beginning of the disk that aren't shown. */
  readonly offset: number;
  /** For people. */
  readonly description?: string;
  readonly tlsRequired: boolean;
  readonly use: DiskUse;
}

/** One export that the command line asks for. */
export interface ExportPlan extends ExportTraits {
  readonly name: string;
  readonly image: SpecifiedImage;
}

/** Exports that are files in a directory, those that come later included. */
export interface FolderPlan extends ExportTraits {
  readonly directory: string;
  /** The names of files that are exports: `*` any characters, `?` one. */
  readonly pattern: string;
  /** The image of that path. */
  readonly imageOf: (path: string) => SpecifiedImage;
}
