import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { assertBytes } from "../../assert/assert-bytes.ts";
import { ifGrows, type StorageCase } from "../storage-case.ts";
import type { StorageManifest } from "../storage-manifest.ts";
import type { StorageSubject } from "../storage-subject.ts";

/** Where sums in 31, 32 or 40 bits go wrong, and where floating point would if it were used carelessly. */
const boundaries = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40, 2 ** 43, 2 ** 52];

/** Offsets that don't fit in 32 bits. */
export function farOffsetCases(manifest: StorageManifest): StorageCase[] {
  const { maxOffset = 0 } = manifest;
  return boundaries
    .filter((boundary) => boundary + 64 * 1024 * 1024 <= maxOffset)
    .map((boundary) => ({
      name: `keeps bytes around offset 0x${boundary.toString(16)} apart from those at the start`,
      when: ifGrows,
      *run(subject: StorageSubject): Io<void> {
        const { request } = subject.grains;
        const limit = subject.storage.limits.request;
        const offset = boundary - limit * Math.ceil(request / limit / 2);
        const bytes = subject.random.bytes(2 * request);
        const expected = subject.manifest.retains === false ? new Uint8Array(bytes.length) : bytes;
        // the model can't hold so much: only the ranges that matter are looked at
        yield* subject.writeUnseen(bytes, offset);
        assert.equal(subject.storage.size, offset + bytes.length);
        assertBytes(yield* subject.read(offset, bytes.length, 3), expected, "far bytes", offset);
        const gap = yield* subject.read(offset - request, request);
        assertBytes(gap, new Uint8Array(request), "the gap before far bytes", offset - request);
        const start = subject.model.size - (subject.model.size % request);
        subject.checkBytes(yield* subject.read(0, start), 0);
        yield* subject.writeUnseen(expected.subarray(0, request), offset + request);
        assertBytes(yield* subject.read(offset + request, request), expected.subarray(0, request), "far bytes");
      },
    }));
}
