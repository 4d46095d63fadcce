import assert from "node:assert/strict";
import { all, isImgError, perform, readStorage, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { expectFailure } from "../../assert/expect-failure.ts";
import { CountingStorage } from "../../storages/counting-storage.ts";
import { FaultPlan } from "../../storages/fault-plan.ts";
import { FaultStorage } from "../../storages/fault-storage.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";
import { formatOperations } from "../operations.ts";

/** Open, closed, read-only: what every operation does in each of these states. */
export const lifecycleCases: readonly FormatCase[] = [
  ...formatOperations.map((operation): FormatCase => ({
    name: `does ${operation.name} while it is open, if it can`,
    when: (manifest) => !operation.writes || ifWritable(manifest),
    *run(subject: FormatSubject): Io<void> {
      if (operation.isUnsupported?.(subject.manifest) === true) {
        yield* expectFailure(operation.run(subject), operation.name, "ERR_IMG_UNSUPPORTED");
      } else {
        yield* operation.run(subject);
      }
    },
  })),
  ...formatOperations.map((operation): FormatCase => ({
    name: `refuses ${operation.name} with ERR_IMG_CLOSED when it is closed`,
    *run(subject: FormatSubject): Io<void> {
      yield* subject.close();
      yield* expectFailure(operation.run(subject), operation.name, "ERR_IMG_CLOSED");
    },
  })),
  ...formatOperations
    .filter((operation) => operation.writes)
    .map((operation): FormatCase => ({
      name: `refuses ${operation.name} with ERR_IMG_READ_ONLY when it is read-only, and writes nothing`,
      opens: "itself",
      *run(subject: FormatSubject): Io<void> {
        const counting: CountingStorage[] = [];
        const layer = (storage: FormatSubject["memories"][number]): CountingStorage => {
          const made = new CountingStorage(storage);
          counting.push(made);
          return made;
        };
        yield* subject.open({ writable: false, layer });
        yield* expectFailure(operation.run(subject), operation.name, "ERR_IMG_READ_ONLY");
        yield* subject.check();
        yield* subject.close();
        for (const storage of counting) {
          assert.equal(storage.calls("write", "writeZeroes", "discard", "resize"), 0);
        }
      },
    })),
  {
    name: "closes its storages, once, however often and at once it is closed",
    *run(subject: FormatSubject): Io<void> {
      const { access } = subject;
      const { storages } = access.driver;
      yield* all([access.io.close(), access.io.close()]);
      yield* access.io.close();
      for (const storage of storages) {
        const read = readStorage(storage, IoVector.single(new Uint8Array(1)), 0);
        yield* expectFailure(read, `reading ${storage.label}`, "ERR_IMG_CLOSED");
      }
    },
  },
  {
    name: "has its size and its name after it was closed",
    *run(subject: FormatSubject): Io<void> {
      const { access } = subject;
      yield* access.io.close();
      subject.model.checkSize(access.size);
      assert.match(String(access), /\S/);
    },
  },
  {
    name: "closes its storages although its last writes fail, and says so",
    when: ifWritable,
    variants: "plain",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      for (const on of ["write", "writeZeroes", "flush", "sync"] as const) {
        const plan = new FaultPlan();
        yield* subject.open({ files: subject.files, layer: (storage) => new FaultStorage(storage, plan) });
        yield* subject.writeUnseen(subject.random.bytes(2 * subject.blockSize), subject.blockSize);
        plan.add({ on });
        yield* closeAfterFault(subject, plan, on);
      }
    },
  },
  {
    name: "waits with closing until a lease is given back",
    variants: "async",
    *run(subject: FormatSubject): Io<void> {
      yield* perform({ label: "a lease", async: () => checkLease(subject) });
    },
  },
  {
    name: "reads the same after its caches were dropped",
    *run(subject: FormatSubject): Io<void> {
      yield* subject.check();
      yield* subject.access.io.invalidateCache(false);
      yield* subject.check();
    },
  },
];

/** Closes an image whose storages fail: whoever asked for what failed hears of it, and everything is closed all the same. */
function* closeAfterFault(subject: FormatSubject, plan: FaultPlan, on: string): Io<void> {
  const { access } = subject;
  let failure: unknown;
  try {
    yield* access.io.close();
  } catch (error) {
    failure = error;
  }
  assert.equal(isImgError(failure, "EIO"), plan.faults.length > 0, `closing while ${on} fails: ${String(failure)}`);
  yield* access.io.close();
  plan.clear();
  for (const storage of access.driver.storages) {
    const read = readStorage(storage, IoVector.single(new Uint8Array(1)), 0);
    yield* expectFailure(read, `reading ${storage.label}`, "ERR_IMG_CLOSED");
  }
}

async function checkLease(subject: FormatSubject): Promise<void> {
  const lease = await subject.access.lease();
  let isClosed = false;
  const closing = subject.access.close().then(() => {
    isClosed = true;
  });
  await new Promise((resolve) => {
    setTimeout(resolve, 5);
  });
  assert.ok(!isClosed, "it closed while somebody held a lease");
  lease.release();
  await closing;
}
