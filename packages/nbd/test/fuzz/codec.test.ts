import { ImgError } from "@img/format-core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteQueue } from "../../src/protocol/byte-queue.ts";
import {
  parseError,
  parseHole,
  parseStatus,
  serializeError,
  serializeHole,
  serializeStatus,
} from "../../src/protocol/chunk-payload.ts";
import { parseExportEntry, serializeExportEntry } from "../../src/protocol/export-entry.ts";
import { parseExportNameReply, serializeExportNameReply } from "../../src/protocol/export-name-reply.ts";
import {
  parseClientFlags,
  parseGreeting,
  serializeClientFlags,
  serializeGreeting,
} from "../../src/protocol/greeting.ts";
import { parseInfoItem, serializeInfoItem } from "../../src/protocol/info-item.ts";
import { parseInfoRequest, serializeInfoRequest } from "../../src/protocol/info-request.ts";
import {
  parseMetaContextReply,
  parseMetaContextRequest,
  serializeMetaContextReply,
  serializeMetaContextRequest,
} from "../../src/protocol/meta-context.ts";
import { parseOptionReply, serializeOptionReply } from "../../src/protocol/option-reply.ts";
import { parseOption, serializeOption } from "../../src/protocol/option.ts";
import { parseReply, replyLength, writeChunkHeader, writeSimpleReply } from "../../src/protocol/reply.ts";
import { parseRequest, requestLength, writeRequest } from "../../src/protocol/request.ts";
import { parseStatusFilter, serializeStatusFilter } from "../../src/protocol/status-filter.ts";
import { chunkTypes } from "../../src/protocol/transmission-numbers.ts";

const seed = Number(process.env["IMG_SEED"] ?? 1);
const numRuns = 250 * Number(process.env["IMG_INTEROP_SCALE"] ?? 1);

/** Long enough for every message here, short enough that damaged lengths are above it. */
const limit = 4096;
const cookie = { cookieHigh: 1, cookieLow: 2 };
const data = Uint8Array.from({ length: 37 }, (_, index) => index);

function inBytes(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

const request = (extended: boolean): Uint8Array =>
  inBytes(requestLength[extended ? "extended" : "compact"], (view) => {
    writeRequest(view, 0, { type: 1, flags: 1, offset: 2 ** 40 + 3, length: 4096, ...cookie }, extended);
  });

const chunk = (extended: boolean): Uint8Array =>
  inBytes(replyLength[extended ? "extended" : "structured"], (view) => {
    const to = { ...cookie, offsetHigh: 1, offsetLow: 5 };
    writeChunkHeader(view, 0, to, { flags: 1, type: 1, length: 77 }, extended);
  });

const simple = inBytes(replyLength.simple, (view) => {
  writeSimpleReply(view, 0, { ...cookie, offsetHigh: 0, offsetLow: 0 }, 5);
});

interface Message {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly parse: (queue: ByteQueue) => unknown;
}

/** Messages that may come in pieces. */
const messages: readonly Message[] = [
  { name: "a greeting", bytes: serializeGreeting(3), parse: parseGreeting },
  { name: "a client's flags", bytes: serializeClientFlags(3), parse: parseClientFlags },
  { name: "an option", bytes: serializeOption({ option: 7, data }), parse: (queue) => parseOption(queue, limit) },
  {
    name: "a reply to an option",
    bytes: serializeOptionReply({ option: 7, type: 3, data }),
    parse: (queue) => parseOptionReply(queue, limit),
  },
  ...[false, true].map((zeroes) => ({
    name: `a reply to EXPORT_NAME ${zeroes ? "with" : "without"} padding`,
    bytes: serializeExportNameReply({ size: 2 ** 41, flags: 0x1ff }, zeroes),
    parse: (queue: ByteQueue) => parseExportNameReply(queue, zeroes),
  })),
  ...[false, true].map((extended) => ({
    name: extended ? "an extended request" : "a request",
    bytes: request(extended),
    parse: (queue: ByteQueue) => parseRequest(queue, extended),
  })),
  { name: "a simple reply", bytes: simple, parse: (queue) => parseReply(queue, "simple") },
  { name: "a simple reply among chunks", bytes: simple, parse: (queue) => parseReply(queue, "structured") },
  { name: "a chunk", bytes: chunk(false), parse: (queue) => parseReply(queue, "structured") },
  { name: "an extended chunk", bytes: chunk(true), parse: (queue) => parseReply(queue, "extended") },
];

interface Payload {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly parse: (bytes: Uint8Array) => unknown;
}

const extents = [
  { length: 65536, flags: 0 },
  { length: 2 ** 31, flags: 3 },
];

/** What is there as a whole when it is looked at. */
const payloads: readonly Payload[] = [
  { name: "INFO", bytes: serializeInfoRequest({ name: "disk", infos: [0, 3] }), parse: parseInfoRequest },
  {
    name: "an export's facts",
    bytes: serializeInfoItem({ kind: "export", size: 2 ** 41, flags: 0x1ff }),
    parse: parseInfoItem,
  },
  { name: "a name", bytes: serializeInfoItem({ kind: "name", name: "dïsk" }), parse: parseInfoItem },
  {
    name: "block sizes",
    bytes: serializeInfoItem({ kind: "blockSize", minimum: 1, preferred: 4096, maximum: 2 ** 25 }),
    parse: parseInfoItem,
  },
  {
    name: "a choice of contexts",
    bytes: serializeMetaContextRequest({ name: "disk", queries: ["base:allocation", "qemu:"] }),
    parse: parseMetaContextRequest,
  },
  {
    name: "a context",
    bytes: serializeMetaContextReply({ id: 7, name: "base:allocation" }),
    parse: parseMetaContextReply,
  },
  {
    name: "an entry of a list",
    bytes: serializeExportEntry({ name: "disk", description: "ä disk" }),
    parse: parseExportEntry,
  },
  { name: "a hole", bytes: serializeHole({ offset: 2 ** 40, length: 4096 }), parse: parseHole },
  {
    name: "an error",
    bytes: serializeError({ error: 5, message: "no" }),
    parse: (bytes) => parseError(bytes, chunkTypes.error),
  },
  {
    name: "an error at an offset",
    bytes: serializeError({ error: 5, message: "no", offset: 4096 }),
    parse: (bytes) => parseError(bytes, chunkTypes.errorOffset),
  },
  ...[false, true].map((extended) => ({
    name: extended ? "an extended status" : "a status",
    bytes: serializeStatus({ id: 1, extents }, extended),
    parse: (bytes: Uint8Array) => parseStatus(bytes, extended),
  })),
  {
    name: "a filter of contexts",
    bytes: serializeStatusFilter({ length: 2 ** 40, ids: [1, 2] }),
    parse: parseStatusFilter,
  },
];

/** Bytes of a message, damaged; or none of it. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ at: fc.nat(bytes.length), byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x2a) });
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2 * bytes.length }) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.array(change, { maxLength: 4 }), fc.nat(bytes.length), fc.uint8Array({ maxLength: 8 }))
        .map(([changes, length, more]) => {
          const result = Uint8Array.from([...bytes.subarray(0, length + 4), ...more]);
          for (const { at, byte } of changes) {
            result[at] = byte;
          }
          return result;
        }),
    },
  );
}

/** What comes of parsing: a value, an error's code, or `more` if it isn't complete. Nothing else may come of it. */
function outcome(parse: () => unknown): string {
  try {
    const value = parse();
    return value === undefined ? "more" : JSON.stringify(value);
  } catch (error) {
    if (error instanceof ImgError && ["EPROTO", "ERR_IMG_LIMIT"].includes(error.code)) {
      return error.code;
    }
    throw error;
  }
}

/** Pushes `pieces`, parses after each until something comes of it: what, and how many bytes were taken. */
function feed(pieces: readonly Uint8Array[], parse: Message["parse"]): readonly [string, number] {
  const queue = new ByteQueue();
  let pushed = 0;
  for (const piece of pieces) {
    queue.push(piece);
    pushed += piece.length;
    const result = outcome(() => parse(queue));
    if (result !== "more") {
      return [result, pushed - queue.length];
    }
    expect(queue.length).toBe(pushed);
  }
  return ["more", 0];
}

test.each(messages)("$name says the same however it is cut, and is never more than refused", ({ bytes, parse }) => {
  expect(feed([bytes], parse)).toEqual([expect.stringMatching(/^[{\d]/), bytes.length]);
  fc.assert(
    fc.property(damaged(bytes), fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (spoiled, lengths) => {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < spoiled.length;) {
        const length = Number(lengths.next().value);
        pieces.push(spoiled.subarray(at, at + length));
        at += length;
      }
      const [whole, taken] = feed([spoiled], parse);
      for (const cut of [pieces, Array.from(spoiled, (byte) => Uint8Array.of(byte))]) {
        const [result, consumed] = feed(cut, parse);
        expect(result).toBe(whole);
        // what is refused is refused as soon as that is certain, which may be earlier
        expect(whole.startsWith("E") ? taken : consumed).toBe(taken);
      }
    }),
    { numRuns, seed },
  );
});

test.each(payloads)("$name is right or refused", ({ bytes, parse }) => {
  expect(outcome(() => parse(bytes))).toMatch(/^{/);
  fc.assert(
    fc.property(damaged(bytes), (spoiled) => {
      outcome(() => parse(spoiled));
    }),
    { numRuns, seed },
  );
});
