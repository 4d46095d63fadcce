/** Requests that are sent to an image, one after the other or several at a time. */
export interface RequestJob {
  readonly kind: "requests";
  readonly path: string;
  readonly write: boolean;
  readonly world: "sync" | "async";
  /** Requests in flight; has no meaning where nothing is waited for. */
  readonly depth: number;
  /** Bytes of each request. */
  readonly length: number;
  /** Bytes from the start of one request to that of the next; behind the end it goes on from the start. */
  readonly step: number;
  /** Requests that are measured. */
  readonly count: number;
  /** Requests before them, which aren't. */
  readonly warmUp: number;
  /** How files answer. Default: the library's. */
  readonly blocking?: "always" | "cached" | "never";
}

/** Descriptions of an image, by the library's one call that opens it, describes it and closes it. The time is that of one. */
export interface InfoJob {
  readonly kind: "info";
  readonly path: string;
  readonly world: "sync" | "async";
  readonly count: number;
}

/** What a process measures inside of our library. */
export type Job = RequestJob | InfoJob;
