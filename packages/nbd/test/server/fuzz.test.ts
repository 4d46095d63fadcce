import { MemoryStorage } from "@img/format-core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { serializeClientFlags } from "../../src/protocol/greeting.ts";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoRequest } from "../../src/protocol/info-request.ts";
import { serializeMetaContextRequest } from "../../src/protocol/meta-context.ts";
import { serializeOption } from "../../src/protocol/option.ts";
import { requestLength, writeRequest } from "../../src/protocol/request.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";

const noData = new Uint8Array();
const seed = Number(process.env["IMG_SEED"] ?? 1);
const scale = Number(process.env["IMG_INTEROP_SCALE"] ?? 1);

const option: fc.Arbitrary<Uint8Array> = fc
  .oneof(
    fc.record({ option: fc.integer({ min: 0, max: 12 }), data: fc.uint8Array({ maxLength: 60 }) }),
    fc.constantFrom(
      { option: optionTypes.structuredReply, data: noData },
      { option: optionTypes.extendedHeaders, data: noData },
      { option: optionTypes.list, data: noData },
      { option: optionTypes.info, data: serializeInfoRequest({ name: "disk", infos: [0, 1, 2, 3, 9] }) },
      {
        option: optionTypes.setMetaContext,
        data: serializeMetaContextRequest({ name: "disk", queries: ["base:allocation"] }),
      },
    ),
  )
  .map(serializeOption);

const request = (extended: boolean): fc.Arbitrary<Uint8Array> =>
  fc
    .record({
      type: fc.integer({ min: 0, max: 9 }),
      flags: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 63 })),
      offset: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.maxSafeNat()),
      length: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 0xffff_ffff })),
      payload: fc.uint8Array({ maxLength: 200 }),
    })
    .map(({ payload, ...header }) => {
      const hasPayload = header.type === 1 && header.length > 70_000;
      const length = hasPayload ? payload.length : header.length;
      const bytes = new Uint8Array(requestLength[extended ? "extended" : "compact"] + payload.length);
      const cookie = { cookieHigh: 1, cookieLow: 2 };
      writeRequest(new DataView(bytes.buffer), 0, { ...header, ...cookie, length }, extended);
      bytes.set(payload, bytes.length - payload.length);
      return hasPayload ? bytes : bytes.subarray(0, bytes.length - payload.length);
    });

/** A session that makes sense at first, then damaged: bytes changed, left out, put in. */
const session = fc
  .tuple(fc.boolean(), fc.array(option, { maxLength: 6 }), fc.constantFrom("go", "name", "nothing"))
  .chain(([extended, options, way]) =>
    fc.tuple(
      fc.constant(
        Buffer.concat([
          serializeClientFlags(3),
          ...(extended ? [serializeOption({ option: optionTypes.extendedHeaders, data: noData })] : []),
          ...options,
          ...(way === "go"
            ? [serializeOption({ option: optionTypes.go, data: serializeInfoRequest({ name: "disk", infos: [] }) })]
            : []),
          ...(way === "name" ? [serializeOption({ option: optionTypes.exportName, data: Buffer.from("disk") })] : []),
        ]),
      ),
      fc.array(request(extended), { maxLength: 10 }),
    ),
  )
  .map(([head, requests]) => Buffer.concat([head, ...requests]));

const damage = fc.array(
  fc.record({ at: fc.nat(2000), kind: fc.constantFrom("change", "drop", "insert"), byte: fc.nat(255) }),
  { maxLength: 3 },
);

function damaged(bytes: Uint8Array, changes: readonly { at: number; kind: string; byte: number }[]): Uint8Array {
  const result = [...bytes];
  for (const { at, kind, byte } of changes) {
    const index = at % (result.length + 1);
    if (kind === "change" && index < result.length) {
      result[index] = byte;
    } else if (kind === "drop") {
      result.splice(index, 1);
    } else {
      result.splice(index, 0, byte);
    }
  }
  return Uint8Array.from(result);
}

test("whatever a client sends, and however it is cut, the server ends the connection and goes on with others", async () => {
  const storage = new MemoryStorage(new Uint8Array(64 * 1024), { fixedSize: true });
  const failures: unknown[] = [];
  const server = new NbdServer(new Map([["disk", storageExport(storage)]]), {
    observer: { failed: (_, error) => failures.push(error) },
  });
  const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(session, damage, cuts, async (bytes, changes, lengths) => {
      const [near, far] = duplexPair();
      const served = server.serve(far);
      const reading = (async () => {
        let length = 0;
        for (let chunk = await near.read(); chunk !== undefined; chunk = await near.read()) {
          length += chunk.length;
        }
        return length;
      })().catch(() => 0);
      const sent = damaged(bytes, changes);
      try {
        for (let at = 0, index = 0; at < sent.length; index++) {
          const length = lengths[index % lengths.length] ?? 1;
          await near.write([sent.subarray(at, at + length)]);
          at += length;
        }
        await near.end();
      } catch {
        // the server has had enough already
      }
      await served;
      await reading;
      near.destroy();
    }),
    { numRuns: 1500 * scale, seed },
  );
  // nothing that a client sends makes the disk itself fail
  expect(failures).toEqual([]);
  expect(server.connectionCount).toBe(0);
});
