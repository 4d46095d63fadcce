import assert from "node:assert/strict";
import type { Io } from "@img/format-core";
import { assertBytes } from "../../assert/assert-bytes.ts";
import type { FormatCase } from "../format-case.ts";
import type { FormatSubject } from "../format-subject.ts";

/** Probing: pure, for any bytes, and right about its own images. */
export const probingCases: readonly FormatCase[] = [
  {
    name: "has a name, and extensions that begin with a dot",
    variants: "plain",
    opens: "itself",
    *run({ factory: { format } }: FormatSubject): Io<void> {
      assert.match(format.name, /^\S+$/);
      for (const extension of format.extensions) {
        assert.match(extension, /^\.\S+$/);
      }
      assert.ok(!format.aliases.includes(format.name), "its name is among its aliases");
    },
  },
  {
    name: "recognises its own images",
    variants: "plain",
    opens: "itself",
    *run({ factory: { format }, files }: FormatSubject): Io<void> {
      assert.ok(probe(format, files[0] ?? new Uint8Array(0)) > 0, "it scores 0");
    },
  },
  {
    name: "scores the same bytes the same, and doesn't change them",
    variants: "plain",
    opens: "itself",
    *run({ factory: { format }, files, random }: FormatSubject): Io<void> {
      const own = (files[0] ?? new Uint8Array(0)).slice(0, format.probeLength);
      for (const header of [own, random.bytes(format.probeLength), new Uint8Array(format.probeLength), own]) {
        const before = header.slice();
        const score = probe(format, header);
        assertBytes(header, before, "the header after it was probed");
        assert.equal(probe(format, before), score);
      }
    },
  },
  {
    name: "scores any bytes, however few, from 0 to 100",
    variants: "plain",
    opens: "itself",
    *run({ factory: { format }, files, random }: FormatSubject): Io<void> {
      const own = (files[0] ?? new Uint8Array(0)).slice(0, format.probeLength);
      for (let length = 0; length <= Math.min(own.length, 600); length++) {
        probe(format, own.subarray(0, length));
      }
      for (let count = 0; count < 200; count++) {
        const header = own.slice();
        header.set(random.bytes(Math.min(4, own.length)), random.integer(0, Math.max(0, own.length - 4)));
        probe(format, header);
        probe(format, random.bytes(random.integer(0, format.probeLength)));
      }
    },
  },
];

function probe(format: FormatSubject["factory"]["format"], header: Uint8Array): number {
  const score = format.probe(header.subarray(0, format.probeLength));
  assert.ok(Number.isInteger(score) && score >= 0 && score <= 100, `a score of ${String(score)}`);
  return score;
}
