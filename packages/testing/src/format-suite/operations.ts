import type { Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { FormatManifest } from "./format-manifest.ts";
import type { FormatSubject } from "./format-subject.ts";

/** One operation of an image, for cases that are about all of them. */
export interface FormatOperation {
  readonly name: string;
  /** It needs an image that can be written. */
  readonly writes: boolean;
  /** The format refuses it with `ERR_IMG_UNSUPPORTED`. */
  isUnsupported?(manifest: FormatManifest): boolean;
  run(subject: FormatSubject): Io<unknown>;
}

const bytes = (length: number): IoVector => IoVector.single(new Uint8Array(length));

/** All operations of `FormatAccess` but `close`. */
export const formatOperations: readonly FormatOperation[] = [
  { name: "read", writes: false, run: ({ access }) => access.io.read(bytes(1000), 0) },
  { name: "a read behind the end", writes: false, run: ({ access }) => access.io.read(bytes(1000), access.size) },
  { name: "getMapping", writes: false, run: ({ access }) => access.io.getMapping(0, 1000) },
  { name: "getShallowMapping", writes: false, run: ({ access }) => access.io.getShallowMapping(0, 1000) },
  { name: "planRead", writes: false, run: ({ access }) => access.io.planRead(0, 1000, true) },
  { name: "flush", writes: false, run: ({ access }) => access.io.flush() },
  { name: "sync", writes: false, run: ({ access }) => access.io.sync() },
  { name: "invalidateCache", writes: false, run: ({ access }) => access.io.invalidateCache(true) },
  { name: "write", writes: true, run: ({ access }) => access.io.write(bytes(1000), 100) },
  {
    name: "ensureDataMapping",
    writes: true,
    isUnsupported: (manifest) => manifest.directWrites === false,
    run: ({ access }) => access.io.ensureDataMapping(100, 1000, false),
  },
  { name: "writeZeroes", writes: true, run: ({ access, blockSize }) => access.io.writeZeroes(0, blockSize) },
  { name: "discardToZero", writes: true, run: ({ access, blockSize }) => access.io.discardToZero(0, blockSize) },
  { name: "discardToAny", writes: true, run: ({ access, blockSize }) => access.io.discardToAny(0, blockSize) },
  {
    name: "discardToBacking",
    writes: true,
    isUnsupported: (manifest) => manifest.discardsToBacking !== true,
    run: ({ access, blockSize }) => access.io.discardToBacking(0, blockSize),
  },
  {
    name: "resizeGrow",
    writes: true,
    isUnsupported: (manifest) => manifest.grows !== true,
    run: ({ access }) => access.io.resizeGrow(access.size + 4096, "none"),
  },
  {
    name: "resizeShrink",
    writes: true,
    isUnsupported: (manifest) => manifest.shrinks !== true,
    run: ({ access }) => access.io.resizeShrink(access.size - 4096),
  },
];
