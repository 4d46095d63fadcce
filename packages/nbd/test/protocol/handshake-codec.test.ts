import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteQueue } from "../../src/protocol/byte-queue.ts";
import { parseExportEntry, serializeExportEntry } from "../../src/protocol/export-entry.ts";
import { parseExportNameReply, serializeExportNameReply } from "../../src/protocol/export-name-reply.ts";
import {
  parseClientFlags,
  parseGreeting,
  serializeClientFlags,
  serializeGreeting,
} from "../../src/protocol/greeting.ts";
import { parseInfoItem, serializeInfoItem, type InfoItem } from "../../src/protocol/info-item.ts";
import { parseInfoRequest, serializeInfoRequest } from "../../src/protocol/info-request.ts";
import {
  parseMetaContextReply,
  parseMetaContextRequest,
  serializeMetaContextReply,
  serializeMetaContextRequest,
} from "../../src/protocol/meta-context.ts";
import { isErrorReply, parseOptionReply, serializeOptionReply } from "../../src/protocol/option-reply.ts";
import { parseOption, serializeOption } from "../../src/protocol/option.ts";
import { clipText, encodeText } from "../../src/protocol/wire-writer.ts";
import { parseInFragments } from "../helpers/fragments.ts";

const name = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !text.includes("\0"));
const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const size = fc.maxSafeNat();
const data = fc.uint8Array({ maxLength: 40 });

/** Cuts valid data short and makes it longer: both must be refused, never misread. */
function refusesOtherLengths(bytes: Uint8Array, parse: (data: Uint8Array) => unknown): void {
  for (let length = 0; length < bytes.length; length++) {
    expect(() => parse(bytes.subarray(0, length))).toThrow(expect.objectContaining({ code: "EPROTO" }));
  }
  expect(() => parse(Uint8Array.of(...bytes, 0))).toThrow(expect.objectContaining({ code: "EPROTO" }));
}

test("greetings and their answers come through, however they are cut", () => {
  fc.assert(
    fc.property(uint16, uint32, (flags, answer) => {
      expect(new Set(parseInFragments(serializeGreeting(flags), parseGreeting))).toEqual(new Set([flags]));
      expect(new Set(parseInFragments(serializeClientFlags(answer), parseClientFlags))).toEqual(new Set([answer]));
    }),
  );
});

test("a greeting is the specification's bytes", () => {
  expect(Buffer.from(serializeGreeting(3)).toString("latin1")).toBe("NBDMAGICIHAVEOPT\0\x03");
});

test.each([
  ["another protocol's", "SSH-2.0-", /no NBD server/],
  ["an oldstyle one", "NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53", /oldstyle/],
  ["one of no known style", "NBDMAGICIHAVEOPS", /neither newstyle nor oldstyle/],
])("of a greeting that is %s no more is waited for", (_, text, message) => {
  const queue = new ByteQueue();
  queue.push(Buffer.from(text, "latin1"));
  expect(() => parseGreeting(queue)).toThrow(message);
});

test("options and replies come through, however they are cut", () => {
  fc.assert(
    fc.property(uint32, uint32, data, (option, type, bytes) => {
      for (const parsed of parseInFragments(serializeOption({ option, data: bytes }), (queue) =>
        parseOption(queue, 40),
      )) {
        expect(parsed).toEqual({ option, data: bytes });
      }
      for (const parsed of parseInFragments(serializeOptionReply({ option, type, data: bytes }), (queue) =>
        parseOptionReply(queue, 40),
      )) {
        expect(parsed).toEqual({ option, type, data: bytes });
      }
    }),
    { numRuns: 30 },
  );
});

test("a length above the limit is refused with the header, before anything is waited for", () => {
  const option = new ByteQueue();
  option.push(serializeOption({ option: 7, data: new Uint8Array(100) }).subarray(0, 16));
  expect(() => parseOption(option, 99)).toThrow(expect.objectContaining({ code: "ERR_IMG_LIMIT" }));
  const reply = new ByteQueue();
  reply.push(serializeOptionReply({ option: 7, type: 1, data: new Uint8Array(100) }).subarray(0, 20));
  expect(() => parseOptionReply(reply, 99)).toThrow(expect.objectContaining({ code: "ERR_IMG_LIMIT" }));
});

test("wrong magic numbers of options and replies are refused", () => {
  const queue = new ByteQueue();
  queue.push(new Uint8Array(20));
  expect(() => parseOption(queue, 100)).toThrow(/IHAVEOPT/);
  expect(() => parseOptionReply(queue, 100)).toThrow(/magic number/);
});

test("answers to EXPORT_NAME come through with and without padding", () => {
  fc.assert(
    fc.property(size, uint16, fc.boolean(), (bytes, flags, zeroes) => {
      const message = serializeExportNameReply({ size: bytes, flags }, zeroes);
      expect(message.length).toBe(zeroes ? 134 : 10);
      for (const parsed of parseInFragments(message, (queue) => parseExportNameReply(queue, zeroes))) {
        expect(parsed).toEqual({ size: bytes, flags });
      }
    }),
    { numRuns: 20 },
  );
});

test("data of options comes through, and is refused in any other length", () => {
  fc.assert(
    fc.property(name, fc.array(uint16, { maxLength: 5 }), fc.array(name, { maxLength: 5 }), (text, infos, queries) => {
      const info = serializeInfoRequest({ name: text, infos });
      expect(parseInfoRequest(info)).toEqual({ name: text, infos });
      refusesOtherLengths(info, parseInfoRequest);
      const contexts = serializeMetaContextRequest({ name: text, queries });
      expect(parseMetaContextRequest(contexts)).toEqual({ name: text, queries });
      refusesOtherLengths(contexts, parseMetaContextRequest);
    }),
  );
});

test("entries of lists and contexts come through", () => {
  fc.assert(
    fc.property(name, name, uint32, (text, description, id) => {
      expect(parseExportEntry(serializeExportEntry({ name: text, description }))).toEqual({ name: text, description });
      expect(parseMetaContextReply(serializeMetaContextReply({ id, name: text }))).toEqual({ id, name: text });
    }),
  );
});

test("information about exports comes through", () => {
  const item: fc.Arbitrary<Exclude<InfoItem, { kind: "unknown" }>> = fc.oneof(
    fc.record({ kind: fc.constant("export" as const), size, flags: uint16 }),
    fc.record({ kind: fc.constant("name" as const), name }),
    fc.record({ kind: fc.constant("description" as const), description: name }),
    fc.record({ kind: fc.constant("blockSize" as const), minimum: uint32, preferred: uint32, maximum: uint32 }),
  );
  fc.assert(
    fc.property(item, (one) => {
      expect(parseInfoItem(serializeInfoItem(one))).toEqual(one);
    }),
  );
  refusesOtherLengths(serializeInfoItem({ kind: "export", size: 1, flags: 1 }), parseInfoItem);
  expect(parseInfoItem(Uint8Array.of(0x12, 0x34, 1, 2, 3))).toEqual({ kind: "unknown", type: 0x1234 });
});

test.each([
  ["with a NUL", Uint8Array.of(97, 0)],
  ["not in UTF-8", Uint8Array.of(0xff, 0xfe)],
  ["longer than 4096 bytes", new Uint8Array(4097).fill(97)],
])("strings %s are refused", (_, bytes) => {
  const request = Buffer.alloc(4 + bytes.length + 2);
  request.writeUInt32BE(bytes.length);
  request.set(bytes, 4);
  expect(() => parseInfoRequest(request)).toThrow(expect.objectContaining({ code: "EPROTO" }));
});

test("a count of queries that lies is refused at once", () => {
  const request = Buffer.alloc(8);
  request.writeUInt32BE(0xffff_ffff, 4);
  expect(() => parseMetaContextRequest(request)).toThrow(expect.objectContaining({ code: "EPROTO" }));
});

test("strings that the protocol doesn't allow aren't sent", () => {
  expect(() => encodeText("a\0b")).toThrow(RangeError);
  expect(() => encodeText("ä".repeat(2049))).toThrow(RangeError);
  expect(encodeText("ä".repeat(2048)).length).toBe(4096);
});

test("text is clipped between characters", () => {
  expect(Buffer.from(clipText("aä\0", 10)).toString()).toBe("aä␀");
  expect(Buffer.from(clipText("aää", 4)).toString()).toBe("aä");
});

test("types of replies from 2^31 on are errors", () => {
  expect([1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff].map(isErrorReply)).toEqual([false, false, true, true]);
});
