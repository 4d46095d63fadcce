/** What of an image is changed; what isn't given stays. */
export interface Qcow2AmendOptions {
  /** What old programs have to understand: `"0.10"` is version 2, `"1.1"` version 3. */
  readonly compat?: "0.10" | "1.1";
  /** Width of a refcount: 1, 2, 4 … 64. Version 2 has 16. */
  readonly refcountBits?: number;
  /** Refcounts may be written late, at the price of a repair after a crash. Version 3. */
  readonly lazyRefcounts?: boolean;
  /** The external data file's name, for an image that has one; `null`: no name. The open image goes on using the one that it was opened with. */
  readonly dataFileName?: string | null;
  /** Whether the external data file has to stay a valid raw image of the disk. An image that doesn't promise that can't begin to. */
  readonly dataFileRaw?: boolean;
}

/** Hears how far a change is: parts done of all there are, any unit. */
export type OnAmendProgress = (done: number, total: number) => void;
