import type { FileAccessOptions } from "@img/storage-fs";
import type { GateSpec } from "./image-spec.ts";

/** What {@link convertImages} writes. */
export interface ConvertTarget extends Pick<FileAccessOptions, "native" | "lock"> {
  /** A file or block device. A plain name, whatever it looks like. */
  readonly path: string;
  /** Name of the format. */
  readonly format: string;
  /** Options of the format for creating an image, beside its size. */
  readonly createOptions?: Readonly<Record<string, unknown>>;
  /** Past the host's page cache. Default `false`. */
  readonly direct?: boolean;
  /** What an existing target may open by itself. Default `"deny-all"`. */
  readonly gate?: GateSpec;
}
