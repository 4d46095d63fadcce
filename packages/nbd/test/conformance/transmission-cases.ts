import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { serializeStatusFilter } from "../../src/protocol/status-filter.ts";
import { chunkTypes, commandFlags as flag, commands } from "../../src/protocol/transmission-numbers.ts";
import { dataLength, diskSize, type Peer } from "./peers.ts";
import { handshake, skip, transmission, type ProbeCase, type ProbeSetup } from "./probe-case.ts";
import type { ProbeRequest } from "./probe.ts";

const kib = 1024;
const mib = 1024 * kib;
const noExtendedHeaders = { "qemu-nbd": skip, nbdkit: skip };
const allocation = { contexts: ["base:allocation"] };

/** A request and what comes of it. */
function outcome(
  name: string,
  request: ProbeRequest,
  expected: string,
  extra: { readonly setup?: ProbeSetup; readonly others?: ProbeCase["others"] } = {},
): ProbeCase {
  return {
    name,
    run: async (peer) => (await transmission(peer, extra.setup)).outcome(request),
    expected,
    ...(extra.others === undefined ? {} : { others: extra.others }),
  };
}

async function pipelined(peer: Peer, count: number, end: "disconnect" | "end"): Promise<unknown> {
  const probe = await transmission(peer);
  const read: ProbeRequest = { type: commands.read, offset: 0, length: 64 * kib };
  const requests = Array.from({ length: count }, () => probe.request(read).bytes);
  await probe.send(Buffer.concat(requests));
  if (end === "disconnect") {
    await probe.send(probe.request({ type: commands.disconnect }).bytes);
  } else {
    await probe.stream.end();
  }
  const cookies = new Set<number>();
  for (let index = 0; index < count; index++) {
    cookies.add((await probe.reply(read)).cookie);
  }
  return [cookies.size, await probe.ending()];
}

const pastEnd = (type: number, others?: ProbeCase["others"]): ProbeCase[] => {
  const isWrite = type === commands.write;
  const error = isWrite || type === commands.writeZeroes ? "ENOSPC" : "EINVAL";
  const setup = type === commands.blockStatus ? allocation : {};
  const extra = { setup, ...(others === undefined ? {} : { others }) };
  const sized = (length: number): Pick<ProbeRequest, "length" | "payload"> =>
    isWrite ? { payload: new Uint8Array(length) } : { length };
  const name = `command ${type}`;
  return [
    outcome(`${name} behind the end`, { type, offset: diskSize, ...sized(512) }, `${error}, alive`, extra),
    outcome(`${name} across the end`, { type, offset: diskSize - 512, ...sized(1024) }, `${error}, alive`, extra),
    outcome(
      `${name} at an offset near 2^64`,
      { type, offset: 0xffff_fe00, offsetHigh: 0xffff_ffff, ...sized(1024) },
      `${error}, alive`,
      extra,
    ),
  ];
};

const onReadOnly = (type: number): ProbeCase =>
  outcome(
    `command ${type} on a read-only export`,
    { type, offset: 0, ...(type === commands.write ? { payload: new Uint8Array(4096) } : { length: 4096 }) },
    "EPERM, alive",
    { setup: { kind: "readOnly" }, others: { "qemu-nbd": "EINVAL, alive" } },
  );

/** Everything from the first request on. */
export const transmissionCases: readonly ProbeCase[] = [
  {
    name: "a request with a wrong magic number ends the connection",
    run: async (peer) => {
      const probe = await transmission(peer);
      const { bytes } = probe.request({ type: commands.read, length: 512 });
      bytes[0] = 0;
      await probe.send(bytes);
      return probe.ending();
    },
    expected: "closed",
    // it answers before it ends the connection
    others: { "qemu-nbd": "more bytes" },
  },
  outcome("an unknown command", { type: 4711, length: 512 }, "EINVAL, alive"),
  outcome("RESIZE", { type: commands.resize, offset: 512 }, "EINVAL, alive"),
  outcome("an unknown flag", { type: commands.read, flags: 0x4000, length: 512 }, "EINVAL, alive"),
  outcome(
    "DF without structured replies",
    { type: commands.read, flags: flag.dontFragment, length: 512 },
    "EINVAL, alive",
    {
      setup: { style: "simple" },
    },
  ),
  outcome("NO_HOLE for READ", { type: commands.read, flags: flag.noHole, length: 512 }, "EINVAL, alive"),
  outcome("REQ_ONE for READ", { type: commands.read, flags: flag.reqOne, length: 512 }, "EINVAL, alive"),
  outcome("NO_HOLE for TRIM", { type: commands.trim, flags: flag.noHole, length: 4096 }, "EINVAL, alive"),
  outcome(
    "a flag that WRITE doesn't have: its payload is skipped",
    { type: commands.write, flags: flag.dontFragment, payload: new Uint8Array(70_000).fill(0x25) },
    "EINVAL, alive",
  ),
  outcome(
    "PAYLOAD_LEN without extended headers",
    { type: commands.read, flags: flag.payloadLength, length: 512 },
    "EINVAL, alive",
  ),
  outcome(
    "FAST_ZERO where it isn't offered",
    { type: commands.writeZeroes, flags: flag.fastZero, offset: mib, length: 4096 },
    "EINVAL, alive",
    { others: { "qemu-nbd": skip, nbdkit: skip } },
  ),
  ...pastEnd(commands.read),
  ...pastEnd(commands.trim),
  ...pastEnd(commands.blockStatus),
  ...pastEnd(commands.write, { "qemu-nbd": "EINVAL, alive" }),
  ...pastEnd(commands.writeZeroes, { "qemu-nbd": "EINVAL, alive" }),
  onReadOnly(commands.write),
  onReadOnly(commands.trim),
  onReadOnly(commands.writeZeroes),
  outcome("READ of more than 32 MiB", { type: commands.read, length: 33 * mib }, "EINVAL, alive", {
    others: { nbdkit: "ok, alive" },
  }),
  outcome(
    "WRITE of 32 MiB that can't be: its payload is skipped",
    { type: commands.write, offset: diskSize - mib, payload: new Uint8Array(32 * mib) },
    "ENOSPC, alive",
    { others: { "qemu-nbd": "EINVAL, alive" } },
  ),
  {
    name: "WRITE of more than 32 MiB ends the connection before its payload has come",
    run: async (peer) => {
      const probe = await transmission(peer);
      await probe.send(probe.request({ type: commands.write, length: 2 ** 32 - 1 }).bytes);
      const { error } = await probe.reply({ type: commands.write }).catch(() => ({ error: "no reply" }));
      return [error, await probe.ending()];
    },
    expected: ["EINVAL", "closed"],
    others: { nbdkit: ["no reply", "closed"] },
  },
  outcome(
    "TRIM of more than a payload may have",
    { type: commands.trim, offset: 16 * mib, length: 40 * mib },
    "ok, alive",
  ),
  outcome(
    "WRITE_ZEROES of more than a payload may have",
    { type: commands.writeZeroes, offset: 16 * mib, length: 40 * mib },
    "ok, alive",
  ),
  outcome(
    "BLOCK_STATUS of more than a payload may have",
    { type: commands.blockStatus, length: diskSize },
    "ok, alive",
    { setup: allocation },
  ),
  outcome("READ of nothing", { type: commands.read }, "ok, alive", { others: { nbdkit: "EINVAL, alive" } }),
  outcome("WRITE of nothing", { type: commands.write }, "ok, alive", { others: { nbdkit: "ENOSPC, alive" } }),
  outcome("TRIM of nothing", { type: commands.trim }, "ok, alive", { others: { nbdkit: "EINVAL, alive" } }),
  outcome("WRITE_ZEROES of nothing", { type: commands.writeZeroes }, "ok, alive", {
    others: { nbdkit: "ENOSPC, alive" },
  }),
  outcome("BLOCK_STATUS of nothing", { type: commands.blockStatus }, "EINVAL, alive", { setup: allocation }),
  outcome("FLUSH", { type: commands.flush }, "ok, alive"),
  outcome("FLUSH of a range", { type: commands.flush, offset: 512, length: 512 }, "ok, alive", {
    others: { nbdkit: "EINVAL, alive" },
  }),
  outcome("BLOCK_STATUS without contexts", { type: commands.blockStatus, length: 512 }, "EINVAL, alive"),
  outcome("FUA for READ", { type: commands.read, flags: flag.fua, length: 512 }, "ok, alive"),
  outcome(
    "FUA for WRITE",
    { type: commands.write, flags: flag.fua, payload: new Uint8Array(512).fill(0x5a) },
    "ok, alive",
  ),
  outcome("FUA for TRIM", { type: commands.trim, flags: flag.fua, offset: 16 * mib, length: 4096 }, "ok, alive"),
  outcome(
    "FUA for WRITE_ZEROES",
    { type: commands.writeZeroes, flags: flag.fua, offset: 16 * mib, length: 4096 },
    "ok, alive",
  ),
  outcome(
    "NO_HOLE for WRITE_ZEROES",
    { type: commands.writeZeroes, flags: flag.noHole, offset: 8 * mib, length: 4096 },
    "ok, alive",
  ),
  {
    name: "what is written is read, and zeroes are zero",
    run: async (peer) => {
      const probe = await transmission(peer);
      await probe.call({ type: commands.write, offset: 4 * mib + 3, payload: Buffer.from("hello") });
      const before = await probe.call({ type: commands.read, offset: 4 * mib, length: 10 });
      await probe.call({ type: commands.writeZeroes, offset: 4 * mib + 4, length: 2 });
      const after = await probe.call({ type: commands.read, offset: 4 * mib, length: 10 });
      return [before, after].map(({ data }) => Buffer.from(data).toString("latin1"));
    },
    expected: ["\0\0\0hello\0\0", "\0\0\0h\0\0lo\0\0"],
  },
  {
    name: "DF gets one chunk, however sparse the range is",
    run: async (peer) => {
      const probe = await transmission(peer);
      const replies = [];
      for (const length of [64 * kib, 2 * mib]) {
        const { chunks, data } = await probe.call({ type: commands.read, flags: flag.dontFragment, offset: 0, length });
        replies.push([chunks.filter((type) => type !== chunkTypes.none), data[0], data.at(-1)]);
      }
      return replies;
    },
    expected: [
      [[chunkTypes.offsetData], 0x5a, 0x5a],
      [[chunkTypes.offsetData], 0x5a, 0],
    ],
  },
  {
    name: "a long read leaves out the hole",
    run: async (peer) => {
      const probe = await transmission(peer);
      const { chunks, data } = await probe.call({ type: commands.read, offset: 0, length: 2 * mib });
      return [chunks.includes(chunkTypes.offsetHole), data.indexOf(0) === dataLength, data.includes(0xee)];
    },
    expected: [true, true, false],
    others: { nbdkit: [false, true, false] },
  },
  {
    name: "an error that is known at once is structured too, and has a message",
    run: async (peer) => {
      const probe = await transmission(peer);
      const { chunks, message } = await probe.call({ type: commands.read, offset: diskSize, length: 1 });
      return [chunks.length, chunks.every((type) => type !== "simple" && (type & 0x8000) !== 0), message.length > 0];
    },
    expected: [1, true, true],
    others: { nbdkit: [1, true, false] },
  },
  {
    name: "replies are simple where nothing else was agreed on",
    run: async (peer) =>
      (await (await transmission(peer, { style: "simple" })).call({ type: commands.read, length: 8 })).chunks,
    expected: ["simple"],
  },
  {
    name: "DISC behind pipelined reads: all are answered first",
    run: (peer) => pipelined(peer, 32, "disconnect"),
    expected: [32, "closed"],
    others: { "qemu-nbd": skip, nbdkit: skip },
  },
  {
    name: "a client that ends its side gets what it asked for before",
    run: (peer) => pipelined(peer, 32, "end"),
    expected: [32, "closed"],
    others: { "qemu-nbd": skip, nbdkit: skip },
  },
  {
    name: "DISC with flags, offset and length is one all the same",
    run: async (peer) => {
      const probe = await transmission(peer);
      await probe.send(probe.request({ type: commands.disconnect, flags: 0xffff, offset: 99, length: 99 }).bytes);
      return probe.ending();
    },
    expected: "closed",
  },
  {
    name: "two requests of one cookie are both answered",
    run: async (peer) => {
      const probe = await transmission(peer);
      const read: ProbeRequest = { type: commands.read, length: 512, cookie: 0xffff_ffff };
      await probe.send(probe.request(read).bytes, probe.request(read).bytes);
      return [(await probe.reply(read)).cookie, (await probe.reply(read)).cookie, await probe.alive()];
    },
    expected: [0xffff_ffff, 0xffff_ffff, "alive"],
  },
  {
    name: "BLOCK_STATUS covers the range from its start, without empty or equal neighbours",
    run: async (peer) => {
      const probe = await transmission(peer, allocation);
      const { status } = await probe.call({ type: commands.blockStatus, offset: 512 * kib, length: mib });
      return status.map(({ extents }) => extents.map(({ flags }) => flags));
    },
    expected: [[0, 3]],
  },
  {
    name: "REQ_ONE gets one extent, not longer than was asked for",
    run: async (peer) => {
      const probe = await transmission(peer, allocation);
      const lengths = [];
      for (const offset of [0, 32 * mib]) {
        const { status } = await probe.call({
          type: commands.blockStatus,
          flags: flag.reqOne,
          offset,
          length: 64 * kib,
        });
        lengths.push(status.map(({ extents }) => extents.map(({ length }) => length)));
      }
      return lengths;
    },
    expected: [[[64 * kib]], [[64 * kib]]],
  },
  {
    name: "extended replies repeat the offset, and none of them is simple",
    run: async (peer) => {
      const probe = await transmission(peer, { style: "extended" });
      const replies = [
        await probe.call({ type: commands.read, offset: 700, length: 8 }),
        await probe.call({ type: commands.read, offset: diskSize, length: 8 }),
        await probe.call({ type: commands.flush }),
        await probe.call({
          type: commands.write,
          flags: flag.payloadLength,
          offset: 9 * mib,
          payload: Buffer.from("x"),
        }),
      ];
      return replies.map(({ chunks, error }) => error ?? chunks.join());
    },
    expected: ["1", "EINVAL", "0", "0"],
    others: noExtendedHeaders,
  },
  {
    name: "extended BLOCK_STATUS has 64-bit lengths and chunks of its own type",
    run: async (peer) => {
      const probe = await transmission(peer, { style: "extended", ...allocation });
      const { chunks, status } = await probe.call({ type: commands.blockStatus, offset: 2 * mib, length: 2 * mib });
      return [chunks, status[0]?.extents];
    },
    expected: [[chunkTypes.blockStatusExtended], [{ length: 2 * mib, flags: 3 }]],
    others: noExtendedHeaders,
  },
  outcome(
    "extended WRITE without PAYLOAD_LEN is tolerated",
    { type: commands.write, offset: 9 * mib, payload: new Uint8Array(8) },
    "ok, alive",
    {
      setup: { style: "extended" },
      others: noExtendedHeaders,
    },
  ),
  outcome(
    "PAYLOAD_LEN for READ: the payload is skipped",
    { type: commands.read, flags: flag.payloadLength, payload: new Uint8Array(100_000).fill(0x21) },
    "EINVAL, alive",
    { setup: { style: "extended" }, others: noExtendedHeaders },
  ),
  {
    name: "a payload of 2^40 bytes ends the connection",
    run: async (peer) => {
      const probe = await transmission(peer, { style: "extended" });
      await probe.send(probe.request({ type: commands.write, flags: flag.payloadLength, length: 2 ** 40 }).bytes);
      return [(await probe.reply({ type: commands.write })).error, await probe.ending()];
    },
    expected: ["EINVAL", "closed"],
    others: noExtendedHeaders,
  },
  outcome("an extended WRITE_ZEROES of 2^60 bytes", { type: commands.writeZeroes, length: 2 ** 50 }, "ENOSPC, alive", {
    setup: { style: "extended" },
    others: noExtendedHeaders,
  }),
  ...(
    [
      ["that names the context", (id: number) => serializeStatusFilter({ length: 4096, ids: [id] }), "ok, alive"],
      [
        "of an unknown context",
        (id: number) => serializeStatusFilter({ length: 4096, ids: [id + 1] }),
        "EINVAL, alive",
      ],
      [
        "that names a context twice",
        (id: number) => serializeStatusFilter({ length: 4096, ids: [id, id] }),
        "EINVAL, alive",
      ],
      ["without contexts", () => serializeStatusFilter({ length: 4096, ids: [] }), "EINVAL, alive"],
      ["of an odd length", () => new Uint8Array(13), "EINVAL, alive"],
      ["of nothing", (id: number) => serializeStatusFilter({ length: 0, ids: [id] }), "EINVAL, alive"],
      ["beyond the end", (id: number) => serializeStatusFilter({ length: 2 ** 50, ids: [id] }), "EINVAL, alive"],
      ["that is far too long", () => new Uint8Array(mib), "EINVAL, alive"],
    ] as const
  ).map(([what, payload, expected]) => ({
    name: `a filter ${what}`,
    run: async (peer: Peer) => {
      const probe = await transmission(peer, { style: "extended", ...allocation });
      const id = probe.contexts[0]?.id ?? 0;
      return probe.outcome({ type: commands.blockStatus, flags: flag.payloadLength, payload: payload(id) });
    },
    expected,
    others: noExtendedHeaders,
  })),
  {
    name: "a filter where no contexts are selected isn't offered",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(optionTypes.extendedHeaders);
      await probe.info(optionTypes.go, "disk");
      probe.style = "extended";
      const payload = serializeStatusFilter({ length: 4096, ids: [1] });
      return [
        probe.flags & (1 << 12),
        await probe.outcome({ type: commands.blockStatus, flags: flag.payloadLength, payload }),
      ];
    },
    expected: [0, "EINVAL, alive"],
    others: noExtendedHeaders,
  },
];
