import { isSyncStorage, perform, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { GuardedBuffers } from "../suite/guarded-buffers.ts";
import type { StorageSubject } from "./storage-subject.ts";

/**
 * Asserts that the synchronous facet reads what the model holds, whichever world the case runs in: so what one facet wrote the other one
 * sees.
 */
export function* checkSameBytes(subject: StorageSubject): Io<void> {
  const { storage, grains, random } = subject;
  const length = 20 * grains.request;
  const buffers = new GuardedBuffers(length, random, { limits: storage.limits });
  const read = (vector: IoVector): void => {
    if (isSyncStorage(storage)) {
      storage.readSync(vector, 0);
    }
  };
  yield* perform({ label: storage.label, async: () => read(buffers.vector), sync: () => read(buffers.vector) });
  subject.checkBytes(buffers.vector.toUint8Array(), 0);
}
