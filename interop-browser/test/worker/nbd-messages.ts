/** What the worker that serves is told. */
export interface NbdServerStart {
  /** A qcow2 image. */
  readonly file: File;
  /** Gives a port for each client that comes. */
  readonly clients: MessagePort;
}

/** What the worker that uses the disks says of them. */
export interface NbdClientReport {
  /** What the exports are. */
  readonly exports: readonly string[];
  readonly size: number;
  /** Of the image's contents. */
  readonly sha256: string;
  /** How many bytes of it are data, as the server says. */
  readonly dataBytes: number;
  /** What came of writing to the image, which is a file that somebody has chosen. */
  readonly writing: string;
  /** What was read from the other disk after it was written. */
  readonly written: string;
}
