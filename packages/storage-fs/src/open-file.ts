import { fstatSync, type Stats } from "node:fs";
import type { StorageLimits } from "@img/format-core";
import type { FileKind } from "./file-kind.ts";
import type { FileSystemTraits } from "./file-system-traits.ts";
import type { BlockingPolicy } from "./file-options.ts";
import type { NativeCalls } from "./native/native-calls.ts";
import { longestCachedWrite, longestTransfer } from "./transfer.ts";
import { WriteBehind } from "./write-behind.ts";

/** A system call that changes how a file is laid out. */
export type Change = "punch hole" | "zero range" | "allocate" | "discard device";

/** What is known of a file when it has just been opened. */
export interface OpenFileFacts {
  readonly fd: number;
  readonly label: string;
  readonly kind: FileKind;
  readonly writable: boolean;
  readonly direct: boolean;
  readonly blocking: BlockingPolicy;
  /** What kind of file system it lies on; `undefined` if that isn't known. */
  readonly fileSystem: FileSystemTraits | undefined;
  readonly native: NativeCalls | undefined;
  readonly limits: StorageLimits;
  /** Bytes. */
  readonly size: number;
  /** Bytes, as in the options. */
  readonly writeBehind: number;
}

/** What the thread pool costs is little for more than this, bytes. */
const smallTransfer = 64 * 1024;

function longestAtOnce({ blocking, fileSystem }: OpenFileFacts): number {
  switch (blocking) {
    case "always":
      return Infinity;
    case "never":
      return -1;
    case "cached":
      return fileSystem?.inMemory === true ? Infinity : -1;
    case "small":
      return fileSystem?.inMemory === true ? Infinity : smallTransfer;
  }
}

function writeBehind(facts: OpenFileFacts): WriteBehind | undefined {
  const { native, writable, direct, blocking, fd, writeBehind: limit } = facts;
  if (native === undefined || !writable || direct || blocking === "never" || limit === Infinity) {
    return undefined;
  }
  return new WriteBehind(limit, (offset, length) => {
    native.beginWriting(fd, offset, length);
  });
}

/** An open file, as the parts of a {@link FileStorage} share it. */
export class OpenFile {
  readonly fd: number;
  readonly label: string;
  readonly kind: FileKind;
  readonly writable: boolean;
  readonly blocking: BlockingPolicy;
  readonly native: NativeCalls | undefined;
  readonly limits: StorageLimits;
  readonly fileSystem: FileSystemTraits | undefined;
  /** Longest read or write that is done at once in the asynchronous world, bytes; -1: none is. */
  readonly longestAtOnce: number;
  /** Most bytes that one system call is asked to write. */
  readonly longestWrite: number;
  /** Whether changes of the layout are made at once in the asynchronous world. */
  readonly changesAtOnce: boolean;
  /** Whether questions to the file system are asked at once in the asynchronous world. */
  readonly questionsAtOnce: boolean;

  /** Calls of which the host said that it can't do them here, so that it isn't asked again. */
  readonly refused: Set<Change> = new Set<Change>();
  /** Whether the host can't read without waiting here. Direct I/O always waits, also where the host says that it won't. */
  noResidentReads: boolean;
  /** Is told of what was written at once. */
  readonly behind: WriteBehind | undefined;
  /** Why written data may be lost: the first failure to make it durable. */
  lost: { readonly error: unknown } | undefined;

  #size: number;
  #resizes = 0;

  constructor(facts: OpenFileFacts) {
    this.fd = facts.fd;
    this.label = facts.label;
    this.kind = facts.kind;
    this.writable = facts.writable;
    this.blocking = facts.blocking;
    this.native = facts.native;
    this.limits = facts.limits;
    this.fileSystem = facts.fileSystem;
    this.longestAtOnce = longestAtOnce(facts);
    this.longestWrite = facts.direct ? longestTransfer : longestCachedWrite;
    this.changesAtOnce = this.longestAtOnce > 0;
    this.questionsAtOnce = facts.blocking !== "never";
    this.noResidentReads = facts.direct;
    this.behind = writeBehind(facts);
    this.#size = facts.size;
  }

  /** Length in bytes, as far as it is known here. */
  get size(): number {
    return this.#size;
  }

  /** Changes with every resize; see {@link wrote}. */
  get epoch(): number {
    return this.#resizes;
  }

  /**
   * Notes that something was written.
   *
   * @param end - where the written range ends
   * @param epoch - {@link epoch} of when the write began: after a resize meanwhile, only the host knows the length
   */
  wrote(end: number, epoch: number): void {
    if (epoch !== this.#resizes) {
      this.measure();
    } else if (end > this.#size && this.kind === "file") {
      this.#size = end;
    }
  }

  /** Notes that the length is about to be changed by other means than writing. */
  resizing(): void {
    this.#resizes++;
  }

  /** Asks the host for the length. A block device has a fixed one. */
  measure(stats: Stats = fstatSync(this.fd)): void {
    if (this.kind === "file") {
      this.#size = stats.size;
    }
  }
}
