import { commitAfter, ImgError, readStorage, writeStorage, type Io, type Storage } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { ImageTables } from "./image-tables.ts";
import { ClusterMap } from "./mapping/cluster-map.ts";
import type { L2EntryLayout } from "./tables/l2-entry.ts";
import { growL1 } from "./write/grow-l1.ts";
import type { HeaderWriter } from "./write/header-writer.ts";
import { prepareWrite } from "./write/prepare-write.ts";
import type { WriteContext } from "./write/write-context.ts";

/** Bytes of guest disk that one L2 table maps. */
function l2Coverage({ clusterSize, entryLength }: L2EntryLayout): number {
  return (clusterSize / entryLength) * clusterSize;
}

/** Guest offset of the VM state: behind what the L2 tables of the disk can map (QEMU's convention; the specification leaves it open). */
export function vmStateOffset(size: number, layout: L2EntryLayout): number {
  const coverage = l2Coverage(layout);
  return Math.ceil(size / coverage) * coverage;
}

/**
 * Reads the VM state of the active disk. What was never written reads as zero; there is no end.
 * @param data - where data clusters are
 * @param offset - bytes from where the VM state begins
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when it is compressed
 */
export function* readVmState(tables: ImageTables, data: Storage, into: IoVector, offset: number): Io<void> {
  const start = vmStateOffset(tables.size, tables.layout) + offset;
  const map = unboundedMap(tables, data);
  for (let done = 0; done < into.length;) {
    const mapping = yield* map.get(start + done, into.length - done);
    const part = into.slice(done, done + mapping.length);
    if (mapping.kind === "raw") {
      yield* readStorage(mapping.storage, part, mapping.offset);
    } else if (mapping.kind === "zero") {
      part.fill(0);
    } else {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${data.label}: the VM state is ${mapping.kind}: expected plain data`);
    }
    done += mapping.length;
  }
}

/** The tables without the disk's end; nothing is looked up below, where there is no VM state. */
function unboundedMap({ l1, l2, layout }: ImageTables, data: Storage): ClusterMap {
  const tables = { l1, l2, layout, size: Number.MAX_SAFE_INTEGER };
  return new ClusterMap({ tables, data, backing: null, writable: false });
}

/**
 * Writes the VM state of the active disk; the L1 table grows as needed.
 * @throws ImgError `ERR_IMG_LIMIT` when the L1 table would be longer than 32 MiB
 */
export function* writeVmState(
  context: WriteContext,
  header: HeaderWriter,
  tables: ImageTables,
  from: IoVector,
  offset: number,
): Io<void> {
  const { data, layout } = context;
  const base = vmStateOffset(context.size, layout);
  yield* growL1(context, header, Math.ceil((base + offset + from.length) / l2Coverage(layout)));
  const readOld = (into: IoVector, at: number): Io<void> => readVmState(tables, data, into, at - base);
  const behind: WriteContext = {
    ...context,
    size: Number.MAX_SAFE_INTEGER,
    backed: false,
    peekOld: () => undefined,
    readOld,
    *readsAsZero(at, length) {
      const mapping = yield* unboundedMap(tables, data).get(at, length);
      return mapping.kind === "zero" && mapping.length >= length;
    },
  };
  for (let done = 0; done < from.length;) {
    const prepared = yield* prepareWrite(behind, base + offset + done, from.length - done, { purpose: "overwrite" });
    const bytes = from.slice(done, Math.min(done + prepared.length, from.length));
    yield* commitAfter(prepared, () => writeStorage(prepared.storage, bytes, prepared.offset));
    done += bytes.length;
  }
}
