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
import {
  parseReply,
  replyLength,
  writeChunkHeader,
  writeSimpleReply,
  type ReplyStyle,
} from "../../src/protocol/reply.ts";
import { parseRequest, requestLength, writeRequest } from "../../src/protocol/request.ts";
import { parseStatusFilter, serializeStatusFilter } from "../../src/protocol/status-filter.ts";
import { chunkTypes, errorName } from "../../src/protocol/transmission-numbers.ts";
import { parseInFragments } from "../helpers/fragments.ts";

const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const uint64 = fc.maxSafeNat();
const protocolError: unknown = expect.objectContaining({ code: "EPROTO" });

function messageOf(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

test("requests come through in both forms, however they are cut", () => {
  const request = fc.record({
    flags: uint16,
    type: uint16,
    cookieHigh: uint32,
    cookieLow: uint32,
    offset: uint64,
    length: uint32,
  });
  fc.assert(
    fc.property(request, uint64, (compact, length) => {
      for (const [extended, sent] of [
        [false, compact],
        [true, { ...compact, length }],
      ] as const) {
        const bytes = messageOf(requestLength[extended ? "extended" : "compact"], (view) => {
          writeRequest(view, 0, sent, extended);
        });
        for (const parsed of parseInFragments(bytes, (queue) => parseRequest(queue, extended))) {
          expect(parsed).toMatchObject(sent);
          expect(parsed.offsetHigh * 2 ** 32 + parsed.offsetLow).toBe(sent.offset);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test("a compact request is the specification's bytes", () => {
  const bytes = messageOf(28, (view) => {
    const cookie = { cookieHigh: 0x01020304, cookieLow: 0x05060708 };
    writeRequest(view, 0, { flags: 1, type: 1, ...cookie, offset: 0x1_0000_0200, length: 512 }, false);
  });
  expect(Buffer.from(bytes).toString("hex")).toBe("2560951300010001010203040506070800000001000002000000" + "0200");
});

test("offsets beyond 2^53 stay beyond every export's end, and exact in halves", () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from("2560951300000000" + "0".repeat(16) + "fffffffffffffe0000000200", "hex"));
  const request = parseRequest(queue, false);
  expect(request).toMatchObject({ offsetHigh: 0xffff_ffff, offsetLow: 0xffff_fe00 });
  expect(request?.offset).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
});

test("a request that begins otherwise is refused, compact and extended ones don't mix", () => {
  const compact = messageOf(32, (view) => {
    writeRequest(view, 0, { flags: 0, type: 0, cookieHigh: 0, cookieLow: 0, offset: 0, length: 0 }, false);
  });
  const queue = new ByteQueue();
  queue.push(compact);
  expect(() => parseRequest(queue, true)).toThrow(protocolError);
});

test("replies come through in every style, however they are cut", () => {
  const header = fc.record({ cookieHigh: uint32, cookieLow: uint32, offset: uint64, error: uint32 });
  const chunk = fc.record({ flags: uint16, type: uint16, length: uint32 });
  fc.assert(
    fc.property(header, chunk, ({ cookieHigh, cookieLow, offset, error }, described) => {
      const request = { cookieHigh, cookieLow, offsetHigh: Math.floor(offset / 2 ** 32), offsetLow: offset % 2 ** 32 };
      const simple = messageOf(replyLength.simple, (view) => {
        writeSimpleReply(view, 0, request, error);
      });
      for (const style of ["simple", "structured"] as const) {
        for (const parsed of parseInFragments(simple, (queue) => parseReply(queue, style))) {
          expect(parsed).toEqual({ kind: "simple", cookieHigh, cookieLow, error });
        }
      }
      for (const style of ["structured", "extended"] as const) {
        const bytes = messageOf(replyLength[style], (view) => {
          writeChunkHeader(view, 0, request, described, style === "extended");
        });
        for (const parsed of parseInFragments(bytes, (queue) => parseReply(queue, style))) {
          const echoed = style === "extended" ? offset : 0;
          expect(parsed).toEqual({ kind: "chunk", cookieHigh, cookieLow, offset: echoed, ...described });
        }
      }
    }),
    { numRuns: 30 },
  );
});

test.each<[string, ReplyStyle]>([
  ["668e33ef", "simple"],
  ["6e8a278c", "structured"],
  ["67446698", "extended"],
  ["668e33ef", "extended"],
  ["00000000", "simple"],
])("a reply that begins with %s isn't a reply in %s style", (magic, style) => {
  const queue = new ByteQueue();
  queue.push(Buffer.from(magic, "hex"));
  expect(() => parseReply(queue, style)).toThrow(protocolError);
});

test("holes, errors and filters come through", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((one) => !one.includes("\0"));
  fc.assert(
    fc.property(uint64, uint32, text, fc.array(uint32), (offset, number, message, ids) => {
      const positive = Math.max(1, number);
      const hole = { offset, length: positive };
      expect(parseHole(serializeHole(hole))).toEqual(hole);
      const error = { error: positive, message };
      expect(parseError(serializeError(error), chunkTypes.error)).toEqual(error);
      const placed = { ...error, offset };
      expect(parseError(serializeError(placed), chunkTypes.errorOffset)).toEqual(placed);
      // a type of error that is not known yet may say more
      expect(parseError(serializeError(placed), 0x8123)).toEqual(error);
      expect(parseStatusFilter(serializeStatusFilter({ length: offset, ids }))).toEqual({ length: offset, ids });
    }),
  );
});

test("block status comes through in both forms", () => {
  const extent = fc.record({ length: uint32, flags: uint32 });
  fc.assert(
    fc.property(uint32, fc.array(extent, { minLength: 1 }), fc.boolean(), (id, extents, extended) => {
      expect(parseStatus(serializeStatus({ id, extents }, extended), extended)).toEqual({ id, extents });
    }),
  );
});

test.each<[string, () => unknown]>([
  ["a hole of nothing", () => parseHole(new Uint8Array(12))],
  ["a hole that is too short", () => parseHole(new Uint8Array(11))],
  ["a hole that is too long", () => parseHole(new Uint8Array(13).fill(1))],
  ["an error that is none", () => parseError(new Uint8Array(6), chunkTypes.error)],
  ["an error whose message is missing", () => parseError(Uint8Array.of(0, 0, 0, 5, 0, 9), chunkTypes.error)],
  ["an error with something behind it", () => parseError(Uint8Array.of(0, 0, 0, 5, 0, 0, 1), chunkTypes.error)],
  ["an error without its offset", () => parseError(Uint8Array.of(0, 0, 0, 5, 0, 0), chunkTypes.errorOffset)],
  ["a status without extents", () => parseStatus(new Uint8Array(4), false)],
  ["a status with half an extent", () => parseStatus(new Uint8Array(8), false)],
  ["a status whose count lies", () => parseStatus(Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 255), true)],
  ["a filter without a length", () => parseStatusFilter(new Uint8Array(7))],
  ["a filter with half an id", () => parseStatusFilter(new Uint8Array(10))],
])("%s is refused", (_, parse) => {
  expect(parse).toThrow(protocolError);
});

test("unknown error numbers count as EINVAL", () => {
  expect([1, 5, 28, 108, 4711].map(errorName)).toEqual(["EPERM", "EIO", "ENOSPC", "ESHUTDOWN", "EINVAL"]);
});

test("long messages of errors are cut", () => {
  const payload = serializeError({ error: 5, message: "ö".repeat(5000) });
  expect(parseError(payload, chunkTypes.error).message).toBe("ö".repeat(512));
});
