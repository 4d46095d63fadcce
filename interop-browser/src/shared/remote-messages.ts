/** What the page asks the remote worker to read. */
export interface RemoteRequest {
  /** Address of an image. What it names is opened, too, if it lies on the same server. */
  readonly url: string;
}

/** What the worker answers. */
export type RemoteReply =
  | {
      readonly kind: "done";
      /** The image and those below it. */
      readonly image: string;
      /** Bytes. */
      readonly size: number;
      /** SHA-256 of the disk. */
      readonly sha256: string;
    }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };
