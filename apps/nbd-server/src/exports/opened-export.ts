import type { NbdExport } from "@img/nbd";

/** An export whose image is open. */
export interface OpenedExport {
  readonly export: NbdExport;
  /** Flushes and closes the image. */
  close(): Promise<void>;
}
