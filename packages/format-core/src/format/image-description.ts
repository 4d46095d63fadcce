/** A value that JSON can carry. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** One internal snapshot. */
export interface SnapshotDescription {
  readonly id: string;
  readonly name: string;
  /** Bytes of saved machine state; 0: disk only. */
  readonly vmStateSize: number;
  /** Wall-clock time of creation: seconds since 1970 and nanoseconds. */
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  /** Guest's clock at creation: seconds and nanoseconds. */
  readonly vmClockSeconds: number;
  readonly vmClockNanoseconds: number;
  /** Guest's instruction count, where it was recorded. */
  readonly icount?: number;
  /** Size in bytes of the disk when the snapshot was made. */
  readonly diskSize?: number;
}

/** Something that an image refers to by name. */
export interface ReferenceDescription {
  /** As the image spells it. */
  readonly name: string;
  /** The format that the image records for it. */
  readonly format?: string;
}

/** What an image's headers say, without opening anything else. */
export interface ImageDescription {
  readonly format: string;
  /** Bytes. */
  readonly virtualSize: number;
  /** Bytes. */
  readonly clusterSize?: number;
  readonly encrypted?: boolean;
  readonly compressed?: boolean;
  /** Was not closed cleanly. */
  readonly dirty?: boolean;
  readonly backing?: ReferenceDescription;
  readonly dataFile?: ReferenceDescription;
  readonly snapshots?: readonly SnapshotDescription[];
  /** What only this format has, in the shape and order of `qemu-img info --output=json`. */
  readonly specific?: { readonly type: string; readonly data: Readonly<Record<string, JsonValue>> };
}
