import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { MemoryStorage, readStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { expectFailure } from "../../assert/expect-failure.ts";
import { CountingStorage } from "../../storages/counting-storage.ts";
import { ifWritable, type FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Opening: shows what there is, changes nothing, and takes nothing that it can't use. */
export const openingCases: readonly FormatCase[] = [
  {
    name: "has the size of the disk and is as writable as it was opened",
    *run(subject: FormatSubject): Io<void> {
      subject.model.checkSize(subject.access.size);
      assert.equal(subject.access.writable, subject.manifest.writable !== false);
      yield* subject.reopen({ writable: false });
      subject.model.checkSize(subject.access.size);
      assert.equal(subject.access.writable, false);
    },
  },
  {
    name: "names its format and its storages, and has a name for people",
    *run({ access, factory, storages }: FormatSubject): Io<void> {
      assert.equal(access.driver.format, factory.format.name);
      assert.ok(access.driver.storages.length > 0, "it has no storages");
      for (const storage of access.driver.storages) {
        assert.ok(storages.includes(storage), `${storage.label} isn't one of the storages that it was given`);
      }
      assert.match(String(access), /\S/);
      assert.equal(access.requestAlignment, Math.max(...storages.map((storage) => storage.limits.request)));
    },
  },
  {
    name: "describes itself as what it is",
    *run({ access, factory, model }: FormatSubject): Io<void> {
      const description = access.driver.describe?.();
      if (description !== undefined) {
        assert.equal(description.format, factory.format.name);
        assert.equal(description.virtualSize, model.size);
        assert.doesNotThrow(() => JSON.stringify(description));
      }
    },
  },
  {
    name: "is opened, read, flushed and closed without a single write, for writing too",
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      for (const writable of ifWritable(subject.manifest) ? [false, true] : [false]) {
        const counting: CountingStorage[] = [];
        const layer = (storage: MemoryStorage): CountingStorage => {
          const made = new CountingStorage(storage);
          counting.push(made);
          return made;
        };
        yield* subject.open({ writable, layer, files: subject.files });
        yield* subject.check();
        yield* subject.flush();
        yield* subject.close();
        for (const storage of counting) {
          assert.equal(storage.calls("write", "writeZeroes", "discard", "resize"), 0);
        }
      }
    },
  },
  {
    name: "isn't opened for writing in a storage that can't be written, and leaves that open",
    when: ifWritable,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      const storages = subject.files.map((bytes) => new MemoryStorage(bytes, { writable: false }));
      const decorated = storages.map((storage) => subject.variant.decorate(storage, subject.random));
      yield* expectFailure(subject.maker.open(decorated, true), "opening for writing", "ERR_IMG_READ_ONLY");
      for (const storage of decorated) {
        yield* readStorage(storage, IoVector.single(new Uint8Array(1)), 0);
      }
    },
  },
  {
    name: "isn't opened in rubbish or in nothing, and leaves the storage open",
    when: (manifest) => manifest.anything !== true,
    opens: "itself",
    *run(subject: FormatSubject): Io<void> {
      for (const main of [new Uint8Array(0), new Uint8Array(100_000), subject.random.bytes(100_000)]) {
        subject.provide({ files: [main, ...subject.files.slice(1)] });
        const open = subject.maker.open(subject.storages, false);
        yield* expectFailure(
          open,
          "opening rubbish",
          "ERR_IMG_CORRUPT",
          "ERR_IMG_UNKNOWN_FORMAT",
          "ERR_IMG_UNSUPPORTED",
        );
        for (const storage of subject.storages) {
          yield* readStorage(storage, IoVector.single(new Uint8Array(1)), 0);
        }
      }
    },
  },
];
