import { setImmediate as turn } from "node:timers/promises";
import { isImgError, type MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SeededRandom } from "@img/testing";
import { expect, test } from "vitest";
import { NbdConnection, type ClientRequest } from "../../src/client/nbd-connection.ts";
import { negotiate } from "../../src/client/negotiate.ts";
import type { ReplyStyle } from "../../src/protocol/reply.ts";
import { commandFlags as flag, commands } from "../../src/protocol/transmission-numbers.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import { fragmenting } from "../helpers/fragmenting.ts";

const scale = Number(process.env["IMG_INTEROP_SCALE"] ?? 1);
const slotLength = 96 * 1024;
const slots = 8;
const size = slots * slotLength;

/** An integer from 0 to `limit` - 1. */
function below(random: SeededRandom, limit: number): number {
  return random.integer(0, limit - 1);
}

/** A disk whose calls are answered at once or later, in any order; some fail. Whole slots of zeroes are holes. */
function unsteadyDisk(bytes: Uint8Array, random: SeededRandom, writable: boolean): NbdExport {
  const later = (work: () => void): MaybePromise<void> => {
    const turns = below(random, 4);
    if (turns === 0) {
      work();
      return undefined;
    }
    return (async () => {
      for (let count = 0; count < turns; count++) {
        await turn();
      }
      work();
    })();
  };
  const isHole = (slot: number): boolean => !bytes.subarray(slot * slotLength, (slot + 1) * slotLength).some(Boolean);
  return {
    size,
    writable,
    contexts: [
      {
        name: "base:allocation",
        status: (offset) => {
          const first = Math.floor(offset / slotLength);
          return Array.from({ length: slots - first }, (_, index) => ({
            length: index === 0 ? (first + 1) * slotLength - offset : slotLength,
            flags: isHole(first + index) ? 3 : 0,
          }));
        },
      },
    ],
    read: (into, offset) =>
      later(() => {
        into.copyFromSlice(bytes.subarray(offset, offset + into.length));
      }),
    write: (from, offset) =>
      later(() => {
        from.copyIntoSlice(bytes.subarray(offset, offset + from.length));
      }),
    writeZeroes: (offset, length) =>
      later(() => {
        bytes.fill(0, offset, offset + length);
      }),
    trim: () => later(() => undefined),
    flush: () => later(() => undefined),
  };
}

/** What a request is answered with, as the specification has it. */
function expectedError(
  { type, flags = 0, offset, length }: ClientRequest,
  style: ReplyStyle,
  writable: boolean,
): string {
  const structured = style !== "simple";
  const own: Readonly<Record<number, number>> = {
    [commands.read]: structured ? flag.dontFragment : 0,
    [commands.writeZeroes]: flag.noHole,
    [commands.blockStatus]: flag.reqOne,
  };
  const changes = [commands.write, commands.writeZeroes, commands.trim].includes(type as never);
  const known = changes || [commands.read, commands.flush, commands.blockStatus].includes(type as never);
  if (!known || (flags & ~(flag.fua | (own[type] ?? 0))) !== 0) {
    return "EINVAL";
  }
  if (changes && !writable) {
    return "EPERM";
  }
  if (type !== commands.flush && offset + length > size) {
    return type === commands.write || type === commands.writeZeroes ? "ENOSPC" : "EINVAL";
  }
  return type === commands.blockStatus && (length === 0 || !structured) ? "EINVAL" : "ok";
}

/** A request that stays in its slot, unless it is wrong. */
function randomRequest(random: SeededRandom, slot: number, style: ReplyStyle): ClientRequest {
  const all = Object.values(commands).filter((type) => type !== commands.disconnect && type !== commands.cache);
  const type = below(random, 3) === 0 ? (all[below(random, all.length)] ?? 0) : below(random, 2);
  const start = below(random, slotLength);
  const isWrong = below(random, 12) === 0;
  const offset = isWrong ? size - below(random, 100) : slot * slotLength + start;
  const length = isWrong ? 200 + below(random, 70_000) : below(random, slotLength - start + 1);
  const flags = below(random, 4) === 0 ? 1 << below(random, 5) : 0;
  if (type === commands.read) {
    return { type, flags, offset, length, into: IoVector.of(new Uint8Array(length)) };
  }
  if (type === commands.write) {
    return { type, flags, offset, length, from: IoVector.of(random.bytes(length)) };
  }
  // answers to questions that aren't there can't be told from lies
  return style === "simple" && type === commands.blockStatus
    ? { type: commands.flush, flags: 0, offset: 0, length: 0 }
    : { type, flags, offset, length };
}

async function outcome(connection: NbdConnection, request: ClientRequest): Promise<string> {
  try {
    await connection.request(request);
    return "ok";
  } catch (error) {
    if (!isImgError(error)) {
      throw error;
    }
    return error.code;
  }
}

async function runSession(seed: number, style: ReplyStyle, seen: Map<string, number>): Promise<void> {
  const random = new SeededRandom(seed);
  const writable = below(random, 6) !== 0;
  const bytes = random.bytes(size).fill(0, 2 * slotLength, 4 * slotLength);
  const model = bytes.slice();
  const [near, far] = duplexPair();
  const server = new NbdServer(new Map([["", unsteadyDisk(bytes, random, writable)]]), {
    maxRequests: 1 + below(random, 12),
    maxBytes: 100_000,
  });
  const served = server.serve(far);
  const longest = [3000, 100_000, 2_000_000][below(random, 3)] ?? 1;
  const facts = await negotiate(
    fragmenting(near, () => 1 + below(random, longest)),
    { replies: style },
  );
  expect(facts.style).toBe(style);
  const connection = new NbdConnection(facts);
  for (let round = 0; round < 6; round++) {
    const requests = Array.from({ length: slots }, (_, slot) => randomRequest(random, slot, style));
    const outcomes = await Promise.all(requests.map((request) => outcome(connection, request)));
    for (const [index, request] of requests.entries()) {
      const wanted = expectedError(request, style, writable);
      expect(outcomes[index], JSON.stringify({ ...request, from: null, into: null, seed })).toBe(wanted);
      seen.set(`${String(request.type)} ${wanted}`, (seen.get(`${String(request.type)} ${wanted}`) ?? 0) + 1);
      if (wanted === "ok") {
        apply(request, model);
      }
    }
  }
  expect(Buffer.compare(bytes, model)).toBe(0);
  await connection.disconnect();
  await served;
}

/** Does to the model what a request did, or compares what it has read. */
function apply({ type, offset, length, from, into }: ClientRequest, model: Uint8Array): void {
  if (type === commands.write) {
    from?.copyIntoSlice(model.subarray(offset, offset + length));
  } else if (type === commands.writeZeroes) {
    model.fill(0, offset, offset + length);
  } else if (into !== undefined) {
    expect(Buffer.compare(into.toUint8Array(), model.subarray(offset, offset + length))).toBe(0);
  }
}

test.each(["simple", "structured", "extended"] as const)(
  "requests right and wrong, many at once and cut anyhow, do what a model does, with %s replies",
  async (style) => {
    const first = Number(process.env["IMG_SEED"] ?? 1);
    const seen = new Map<string, number>();
    for (let round = 0; round < 30 * scale; round++) {
      await runSession(first * 100_000 + round, style, seen);
    }
    // everything that can be answered has been
    expect(seen.size).toBeGreaterThan(style === "simple" ? 12 : 15);
  },
);
