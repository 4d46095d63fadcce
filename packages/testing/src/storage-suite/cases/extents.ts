import assert from "node:assert/strict";
import type { Extent, Io } from "@img/format-core";
import { assertBytes } from "../../assert/assert-bytes.ts";
import { ifGrows, ifWritable, type StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

const ifExtents = (manifest: StorageManifest): boolean => manifest.extents !== undefined && manifest.extents !== false;

/** `extents`: may know little, but what it knows is true. */
export const extentCases: readonly StorageCase[] = [
  {
    name: "gives extents in order, without gaps, from where it is asked, at most to where it is asked",
    when: ifExtents,
    *run(subject: StorageSubject): Io<void> {
      const { request } = subject.grains;
      const { size } = subject.model;
      // the subject asserts the form of every answer
      for (const [offset, length] of [
        [0, size],
        [1, 1],
        [0, 1],
        [3 * request + 1, 7 * request],
        [size - 1, 1],
        [17 * request, size - 17 * request],
      ] as const) {
        yield* subject.extents(offset, length);
      }
      assert.deepEqual((yield* subject.extents(0, 0)) ?? [], []);
    },
  },
  {
    name: "never calls data a hole",
    when: ifExtents,
    *run(subject: StorageSubject): Io<void> {
      yield* checkHoles(subject);
    },
  },
  {
    name: "never calls data a hole after it was written, zeroed and discarded",
    when: (manifest) => ifExtents(manifest) && ifWritable(manifest),
    *run(subject: StorageSubject): Io<void> {
      const { request, zero, discard } = subject.grains;
      // who remembers what he said now will be wrong
      yield* checkHoles(subject);
      yield* subject.write(subject.random.bytes(2 * request), 17 * request);
      yield* checkHoles(subject);
      if (subject.storage.writeZeroes !== undefined) {
        yield* subject.zero(zero, 9 * zero);
        yield* checkHoles(subject);
      }
      if (subject.storage.discard !== undefined) {
        yield* subject.discard(20 * discard, 9 * discard);
        yield* checkHoles(subject);
      }
      yield* subject.write(subject.random.bytes(request), 3 * request);
      yield* checkHoles(subject);
      yield* subject.check();
    },
  },
  {
    name: "never calls data a hole behind a gap",
    when: (manifest) => ifExtents(manifest) && ifGrows(manifest),
    *run(subject: StorageSubject): Io<void> {
      yield* subject.write(
        subject.random.bytes(subject.grains.request),
        subject.model.size + 30 * subject.grains.largest,
      );
      yield* checkHoles(subject);
    },
  },
  {
    name: "knows that a large gap is a hole",
    when: (manifest) => ifExtents(manifest) && ifGrows(manifest) && manifest.holes !== undefined,
    *run(subject: StorageSubject): Io<void> {
      const { holes = 0 } = subject.manifest;
      const start = subject.model.size;
      const unit = subject.storage.limits.request;
      yield* subject.write(subject.random.bytes(subject.grains.request), start + Math.ceil(holes / unit) * unit);
      const extents = yield* walk(subject, start, subject.storage.size - start);
      const found = extents.filter((extent) => extent.kind === "hole").reduce((sum, extent) => sum + extent.length, 0);
      assert.ok(found > 0, `no hole in a gap of ${String(holes)} bytes`);
    },
  },
  {
    name: "tells how much of the host's medium it takes",
    when: (manifest) => manifest.allocatedSize !== undefined && manifest.allocatedSize !== false,
    *run(subject: StorageSubject): Io<void> {
      if (subject.storage.allocatedSize === undefined) {
        assert.notEqual(subject.manifest.allocatedSize, true);
        return;
      }
      const allocated = yield* subject.call<number | undefined>(
        (storage) => storage.allocatedSize?.(),
        (storage) => storage.allocatedSizeSync?.(),
      );
      assert.ok(Number.isSafeInteger(allocated) && Number(allocated) >= 0, `allocatedSize is ${String(allocated)}`);
    },
  },
];

/** Asserts that every hole reads as zero: data in it would be lost to whoever believes the extents. */
function* checkHoles(subject: StorageSubject): Io<void> {
  for (const extent of yield* walk(subject, 0, subject.model.size)) {
    if (extent.kind === "hole") {
      const what = `what is called a hole at 0x${extent.offset.toString(16)}`;
      const start = extent.offset - (extent.offset % subject.storage.limits.request);
      const end = extent.offset + extent.length;
      const unit = Math.max(subject.storage.limits.request, subject.storage.limits.memory);
      const bytes = yield* subject.read(start, Math.ceil((end - start) / unit) * unit);
      const inside = bytes.subarray(extent.offset - start, end - start);
      assertBytes(inside, new Uint8Array(inside.length), what, extent.offset);
    }
  }
}

/** All extents of a range, asking as often as it takes. */
function* walk(subject: StorageSubject, offset: number, length: number): Io<Extent[]> {
  const found: Extent[] = [];
  const end = offset + length;
  let at = offset;
  while (at < end) {
    const extents = (yield* subject.extents(at, end - at)) ?? [];
    const last = extents.at(-1);
    if (last === undefined) {
      // nothing is known, so nothing wrong is said
      break;
    }
    found.push(...extents);
    at = last.offset + last.length;
  }
  return found;
}
