/** An internal snapshot, as the snapshot table has it. Offsets and sizes are bytes. */
export interface Snapshot {
  /** Unique; a decimal number in images that QEMU made. */
  readonly id: string;
  readonly name: string;
  readonly l1TableOffset: number;
  /** Entries. */
  readonly l1Size: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  /** Guest's clock when the snapshot was made, nanoseconds. */
  readonly vmClock: bigint;
  /** 0: disk only. */
  readonly vmStateSize: number;
  /** Size of the disk; `undefined` where the table doesn't record it. */
  readonly diskSize: number | undefined;
  /** Guest's instruction count; `undefined` where it isn't recorded. */
  readonly icount: bigint | undefined;
  /** Bytes that its entry takes in the snapshot table. */
  readonly entryLength: number;
  /** The bytes of {@link id}, where they aren't those of the text as UTF-8; kept for whoever rewrites the table. */
  readonly idBytes?: Uint8Array;
  /** As {@link idBytes}, of {@link name}. */
  readonly nameBytes?: Uint8Array;
  /** Extra data after what is known; kept for whoever rewrites the table. */
  readonly unknownExtra: Uint8Array;
}
