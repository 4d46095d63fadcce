import type { FormatAccess } from "../access/format-access.ts";
import type { OpenChain } from "../gate/open-chain.ts";
import type { OpenGate } from "../gate/open-gate.ts";
import type { Storage } from "../storage/storage.ts";
import type { FormatRegistry } from "./format-registry.ts";
import type { Preallocation } from "./preallocation.ts";

/** Options that every format understands when it opens an image. */
export interface OpenOptions {
  /** Open for writing. Default `false`; the storage must be writable then. */
  readonly writable?: boolean;
  /** Decides about everything that the image opens by itself. Default: {@link denyAll}. */
  readonly gate?: OpenGate;
  /** The image below. Omitted: what the header names, opened through the gate. `null`: none. Stays the caller's to close. */
  readonly backing?: FormatAccess | null;
  /** The external data file. Omitted: what the header names, opened through the gate. `null`: none. Closed with the image. */
  readonly dataFile?: Storage | null;
  /**
   * Read headers only, to describe the image: nothing else is opened, what can't be read (encrypted contents) is no obstacle, and guest
   * data and mappings are refused. Default `false`.
   */
  readonly inspect?: boolean;
  /** The images above this one; set by gates, so that loops and endless chains are found. */
  readonly chain?: OpenChain;
  /**
   * Set when the format was guessed from the contents: the formats among which it was. A driver then refuses a write that would make the
   * image look like one of the others.
   */
  readonly probedAmong?: FormatRegistry;
}

/** Options that every format understands when it creates an image. */
export interface CreateOptions {
  /** Size of the disk in bytes. Default 0. */
  readonly size?: number;
  /** Default `"none"`. */
  readonly preallocation?: Preallocation;
  /** As in {@link OpenOptions}: for the image as it is opened after its creation. */
  readonly gate?: OpenGate;
  readonly backing?: FormatAccess | null;
  readonly dataFile?: Storage | null;
}
