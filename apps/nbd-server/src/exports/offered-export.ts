import type { NbdExport } from "@img/nbd";

/** An open export as it is shown to clients. */
export interface OfferedExport {
  /**
   * The export for one client.
   * @param gone - aborted when nobody waits for the client's answers any more
   */
  forClient(gone: AbortSignal): NbdExport;
  /** Flushes and closes the image. */
  close(): Promise<void>;
}
