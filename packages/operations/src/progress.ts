/** How far a long operation is. */
export interface Progress {
  /** Bytes of the disk that are dealt with, from 0 to `total`; never decreases. */
  readonly done: number;
  /** Bytes of the disk that the operation is about. */
  readonly total: number;
}
