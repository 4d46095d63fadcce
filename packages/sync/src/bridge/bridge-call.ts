import type { StorageLimits, StoragePreallocation, WriteZeroesOptions } from "@img/format-core";
import type { PortableError } from "./portable-error.ts";

/** The optional methods of a storage that its bridge has exactly if the storage has them. */
export const mirroredMethods = [
  "writeZeroes",
  "discard",
  "extents",
  "allocatedSize",
  "resize",
  "invalidate",
  "resolve",
] as const;

/** What a bridge knows of its storage without asking again. */
export interface StorageFacts {
  /** By which the worker finds the storage again. */
  readonly id: number;
  readonly label: string;
  /** Bytes. */
  readonly size: number;
  readonly writable: boolean;
  readonly limits: StorageLimits;
  readonly identity: string | undefined;
  readonly location: string | undefined;
  readonly methods: readonly (typeof mirroredMethods)[number][];
}

/** A function of a module that the worker is to call. */
export interface ModuleFunction {
  /** `open` makes a storage, `canonical` a location; `check` looks whether the function is there. */
  readonly method: "open" | "canonical" | "check";
  /** URL of the module, or what else `import()` takes. */
  readonly specifier: string;
  /** Name of the export. */
  readonly name: string;
  /** What it is called with. */
  readonly argument: unknown;
}

/** What the worker can be asked for. Bytes are in the slot, from its start on; offsets and lengths are bytes. */
export type BridgeCall =
  | ModuleFunction
  | {
      readonly method: "read" | "write";
      readonly storage: number;
      readonly slot: number;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly method: "writeZeroes";
      readonly storage: number;
      readonly offset: number;
      readonly length: number;
      readonly options: WriteZeroesOptions | undefined;
    }
  | {
      readonly method: "discard" | "extents";
      readonly storage: number;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly method: "resize";
      readonly storage: number;
      readonly size: number;
      readonly preallocation: StoragePreallocation | undefined;
    }
  | { readonly method: "resolve"; readonly storage: number; readonly relative: string }
  | {
      readonly method: "allocatedSize" | "flush" | "sync" | "invalidate" | "close";
      readonly storage: number;
    };

/** One message to the worker. */
export interface BridgeRequest {
  /** 0: the caller is blocked and waits for an answer in shared memory; otherwise the answer is a message with this id. */
  readonly id: number;
  readonly call: BridgeCall;
}

/** What came of a call. */
export interface BridgeAnswer {
  /** Counts the worker's answers: of two sizes, the one with the higher number is newer. */
  readonly sequence: number;
  /** Size of the storage when it answered, in bytes; `undefined`: the call was not about a storage that is open. */
  readonly size: number | undefined;
  readonly value?: unknown;
  readonly error?: PortableError;
}

/** One message from the worker. */
export interface BridgeReply {
  readonly id: number;
  readonly answer: BridgeAnswer;
}
