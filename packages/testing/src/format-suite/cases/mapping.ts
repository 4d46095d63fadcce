import assert from "node:assert/strict";
import { guestOffset, perform, readStorage, type Io, type Mapping, type ReadStep } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Mappings: they cover the disk, and whoever follows them reads what `read` reads. */
export const mappingCases: readonly FormatCase[] = [
  {
    name: "maps the whole disk without gaps, and reads the same by its mappings",
    *run(subject: FormatSubject): Io<void> {
      yield* walk(subject, 0, subject.model.size);
    },
  },
  {
    name: "maps any range, and never more than was asked for",
    *run(subject: FormatSubject): Io<void> {
      for (const most of [1, 511, 4096, subject.blockSize + 1]) {
        for (let at = 0; at < subject.model.size; at += subject.blockSize - 1) {
          yield* checkMapping(subject, at, Math.min(most, subject.model.size - at));
        }
      }
    },
  },
  {
    name: "maps what lies behind the end as eof",
    *run(subject: FormatSubject): Io<void> {
      const { size } = subject.model;
      for (const offset of [size, size + 1, size + 10 * subject.blockSize]) {
        const mapping = yield* subject.access.io.getMapping(offset, 4096);
        assert.deepEqual([mapping.kind, mapping.length], ["eof", 0]);
        const shallow = yield* subject.access.io.getShallowMapping(offset, 4096);
        assert.deepEqual([shallow.kind, shallow.length], ["eof", 0]);
      }
      const last = yield* subject.access.io.getMapping(size - 1, 4096);
      assert.equal(last.length, 1, "a mapping ends behind the disk");
    },
  },
  {
    name: "covers the whole disk by what its own layer says",
    *run(subject: FormatSubject): Io<void> {
      let at = 0;
      while (at < subject.model.size) {
        const mapping = yield* subject.access.io.getShallowMapping(at, subject.model.size - at);
        assert.notEqual(mapping.kind, "eof");
        assert.ok(
          mapping.length >= 1 && mapping.length <= subject.model.size - at,
          "a mapping of no or too many bytes",
        );
        at += mapping.length;
      }
      assert.equal(at, subject.model.size);
    },
  },
  {
    name: "lets nothing be written through the mappings of an image that is read-only",
    opens: "read-only",
    *run(subject: FormatSubject): Io<void> {
      for (let at = 0; at < subject.model.size;) {
        const mapping = yield* subject.access.io.getMapping(at, subject.model.size - at);
        assert.ok(mapping.kind !== "raw" || !mapping.writable, `a writable mapping at ${String(at)}`);
        at += mapping.length;
      }
    },
  },
  {
    name: "says the same at once, where it can, as when it is waited for",
    *run(subject: FormatSubject): Io<void> {
      const { driver } = subject.access;
      yield* subject.check();
      for (let at = 0; at < subject.model.size; at += Math.floor(subject.blockSize / 3)) {
        const length = Math.min(subject.blockSize, subject.model.size - at);
        const peeked = driver.peekMapping?.(guestOffset(at), length);
        if (peeked !== undefined) {
          const waited = yield* driver.getMapping(guestOffset(at), length);
          assert.equal(peeked.kind, waited.kind);
          assert.equal("offset" in peeked ? peeked.offset : -1, "offset" in waited ? waited.offset : -1);
          assert.ok(peeked.length >= 1);
        }
      }
    },
  },
  {
    name: "plans reads that cover their range exactly, and read the same",
    *run(subject: FormatSubject): Io<void> {
      for (const [offset, length] of ranges(subject)) {
        yield* checkPlan(subject, yield* subject.access.io.planRead(offset, length, false), offset, length);
      }
    },
  },
  {
    name: "joins the steps of planned reads without changing what they read",
    *run(subject: FormatSubject): Io<void> {
      for (const [offset, length] of ranges(subject)) {
        const single = yield* subject.access.io.planRead(offset, length, false);
        const joined = yield* subject.access.io.planRead(offset, length, true);
        assert.ok(joined.length <= single.length, "there are more steps after joining");
        yield* checkPlan(subject, joined, offset, length);
      }
    },
  },
  {
    name: "lists its mappings in order, up to the end of the disk",
    variants: "async",
    *run(subject: FormatSubject): Io<void> {
      yield* perform({ label: "mappings", async: () => checkList(subject) });
    },
  },
];

async function checkList(subject: FormatSubject): Promise<void> {
  let at = 0;
  for await (const mapping of subject.access.mappings()) {
    assert.equal(mapping.guestOffset, at);
    at += mapping.length;
  }
  assert.equal(at, subject.model.size);
}

function ranges({ model: { size }, blockSize }: FormatSubject): readonly (readonly [offset: number, length: number])[] {
  return [
    [0, size],
    [1, size - 2],
    [blockSize - 1, 2],
    [blockSize + 1, 3 * blockSize],
    [size - 100, 5000],
    [size + 1, 10],
    [0, 0],
  ];
}

/** Follows the mappings of a range and asserts what they read. */
function* walk(subject: FormatSubject, offset: number, end: number): Io<void> {
  let at = offset;
  while (at < end) {
    at += yield* checkMapping(subject, at, end - at);
  }
  assert.equal(at, end);
}

/** Asserts one mapping, and gives its length. */
function* checkMapping(subject: FormatSubject, offset: number, most: number): Io<number> {
  const { access } = subject;
  yield* access.io.share();
  try {
    const mapping = yield* access.io.getMapping(offset, most);
    assert.notEqual(mapping.kind, "eof", `eof before the end, at ${String(offset)}`);
    assert.ok(mapping.length >= 1 && mapping.length <= most, `a mapping of ${String(mapping.length)} bytes`);
    assert.ok(mapping.depth >= 0);
    const bytes = yield* readMapping(subject, mapping, mapping.length);
    subject.model.check(bytes, offset, `the ${mapping.kind} mapping`);
    return mapping.length;
  } finally {
    access.io.release();
  }
}

/** Reads by a mapping alone. */
function* readMapping(subject: FormatSubject, mapping: Mapping | ReadStep, length: number): Io<Uint8Array> {
  const into = IoVector.single(new Uint8Array(length));
  switch (mapping.kind) {
    case "raw":
      assert.ok(subject.access.storages().includes(mapping.storage), `${mapping.storage.label} isn't the image's`);
      assert.ok(!mapping.writable || (subject.access.writable && mapping.depth === 0), "a mapping is writable");
      yield* readStorage(mapping.storage, into, mapping.offset);
      break;
    case "special": {
      const { driver } = mapping.layer;
      assert.ok(driver.readSpecial !== undefined, "a special mapping that nobody reads");
      yield* driver.readSpecial(into, mapping.offset);
      break;
    }
    case "zero":
    case "eof":
  }
  return into.toUint8Array();
}

function* checkPlan(subject: FormatSubject, steps: readonly ReadStep[], offset: number, length: number): Io<void> {
  let at = offset;
  yield* subject.access.io.share();
  try {
    for (const step of steps) {
      assert.equal(step.guestOffset, at, "a step doesn't begin where the one before ends");
      assert.ok(step.length >= 1, "a step of no bytes");
      subject.model.check(yield* readMapping(subject, step, step.length), at, `the ${step.kind} step`);
      at += step.length;
    }
  } finally {
    subject.access.io.release();
  }
  assert.equal(at, offset + length, "the plan doesn't cover the range");
}
