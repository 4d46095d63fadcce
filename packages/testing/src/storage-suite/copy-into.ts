import assert from "node:assert/strict";
import { perform, type Io, type Storage, type SyncStorage } from "@img/format-core";
import type { ModelDisk } from "../model/model-disk.ts";
import type { StorageSubject } from "./storage-subject.ts";

/** What is copied from: a storage, and what it must read as. */
export interface CopySource {
  readonly storage: Storage;
  readonly model: ModelDisk;
}

/** What `copyFrom` is asked for, in bytes. */
export interface CopyRange {
  /** From the start of the source. */
  readonly from: number;
  /** From the start of the storage that is copied to. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Has a storage copy a range, in as many calls as it takes, and changes the model alike, as far as the storage says that it has copied.
 *
 * @returns bytes that were copied, from the start of the range on
 */
export function* copyInto(subject: StorageSubject, source: CopySource, range: CopyRange): Io<number> {
  const { from, offset, length } = range;
  let done = 0;
  for (;;) {
    const copied = yield* callCopyFrom(subject, source.storage, {
      from: from + done,
      offset: offset + done,
      length: length - done,
    });
    assert.ok(Number.isSafeInteger(copied) && copied >= 0, `copyFrom answered ${String(copied)}`);
    assert.ok(copied <= length - done, `copyFrom copied ${String(copied)} bytes of ${String(length - done)}`);
    // read before it is written: the source may be the storage itself
    subject.model.write(source.model.read(from + done, copied), offset + done);
    done += copied;
    if (copied === 0 || done === length) {
      return done;
    }
  }
}

/** {@link copyInto} of a range that lies inside of the source, which a storage copies to the end if its manifest says that it copies. */
export function* copyAll(subject: StorageSubject, source: CopySource, range: CopyRange): Io<void> {
  const copied = yield* copyInto(subject, source, range);
  if (subject.manifest.copies === true) {
    assert.equal(copied, range.length, `copyFrom stopped after ${String(copied)} bytes of ${String(range.length)}`);
  }
}

/** One call of `copyFrom` in the case's world, which the model isn't told of; 0 where there is no such method. */
export function callCopyFrom({ storage }: StorageSubject, source: Storage, range: CopyRange): Io<number> {
  const { from, offset, length } = range;
  return perform<number>({
    label: storage.label,
    async: () => storage.copyFrom?.(source, from, offset, length) ?? 0,
    sync: () => (storage as SyncStorage).copyFromSync?.(source, from, offset, length) ?? 0,
  });
}
