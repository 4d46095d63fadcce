import type { Extent, Io } from "@img/format-core";
import { askStats } from "./ask-stats.ts";
import { callHost, type HostCall } from "./host-call.ts";
import { failure, type NativeCalls } from "./native/native-calls.ts";
import type { OpenFile } from "./open-file.ts";

/** Extents in one answer; whoever wants more asks again. */
const mostExtents = 256;

/** `st_blocks` counts in these, whatever the file system's blocks are. */
const statBlock = 512;

/**
 * What the host knows about the start of a range: contiguous extents from `offset` on, or none where it knows nothing. The file's end is
 * followed by a hole.
 */
export function* fileExtents(file: OpenFile, offset: number, length: number): Io<readonly Extent[]> {
  if (file.kind === "block device" || length === 0) {
    return [];
  }
  return file.native === undefined
    ? yield* extentsFromBlocks(file, offset, length)
    : yield* extentsBySeeking(file, file.native, offset, length);
}

function* extentsBySeeking(file: OpenFile, native: NativeCalls, offset: number, length: number): Io<readonly Extent[]> {
  const end = offset + length;
  const extents: Extent[] = [];
  let at = offset;
  const add = (kind: Extent["kind"], until: number): void => {
    const stop = Math.min(until, end);
    if (stop > at) {
      extents.push({ kind, offset: at, length: stop - at });
      at = stop;
    }
  };
  while (at < end && extents.length < mostExtents) {
    const data = yield* ask(file, native.seekData(file.fd, at));
    if (data === failure.ENXIO) {
      add("hole", end);
      break;
    }
    if (data < at) {
      break;
    }
    add("hole", data);
    const hole = at < end ? yield* ask(file, native.seekHole(file.fd, at)) : at;
    if (hole <= at) {
      break;
    }
    add("data", hole);
  }
  return extents;
}

/** Without SEEK_DATA, only a file without any data is a clear case. */
function* extentsFromBlocks(file: OpenFile, offset: number, length: number): Io<readonly Extent[]> {
  const stats = yield* askStats(file);
  if (stats.blocks === 0 && file.fileSystem?.countsBlocks === true) {
    return [{ kind: "hole", offset, length }];
  }
  return stats.blocks * statBlock >= stats.size && offset + length <= stats.size
    ? [{ kind: "data", offset, length }]
    : [];
}

function ask<T>(file: OpenFile, call: HostCall<T>): Io<T> {
  return callHost(file.label, call, file.questionsAtOnce);
}
