import { optionTypes as option, replyTypes, transmissionFlags } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoRequest } from "../../src/protocol/info-request.ts";
import { serializeMetaContextRequest } from "../../src/protocol/meta-context.ts";
import { serializeOption } from "../../src/protocol/option.ts";
import { WireWriter } from "../../src/protocol/wire-writer.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { diskSize } from "./peers.ts";
import { handshake, skip, transmission, type ProbeCase } from "./probe-case.ts";
import { Probe } from "./probe.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const something = Uint8Array.of(1, 2, 3, 4);

/** Everything up to the first request. */
export const handshakeCases: readonly ProbeCase[] = [
  {
    name: "the greeting offers fixed newstyle and no zeroes, and nothing else",
    run: async (peer) => Buffer.from(await new Probe(await peer.connect("writable")).bytes(18)).toString("latin1"),
    expected: "NBDMAGICIHAVEOPT\0\x03",
  },
  ...[4, 0x8000_0001].map(
    (flags) =>
      ({
        name: `client flags 0x${flags.toString(16)} that weren't offered end the connection`,
        run: async (peer) => (await Probe.greet(await peer.connect("writable"), flags)).ending(),
        expected: "closed",
      }) satisfies ProbeCase,
  ),
  {
    name: "a client that isn't fixed newstyle gets its export by name",
    run: async (peer) => {
      const probe = await Probe.greet(await peer.connect("writable"), 0);
      await probe.send(serializeOption({ option: option.exportName, data: text("disk") }));
      return (await probe.exportNameReply(true)).size;
    },
    expected: diskSize,
  },
  {
    name: "a client that isn't fixed newstyle gets nothing else",
    run: async (peer) => (await Probe.greet(await peer.connect("writable"), 0)).option(option.list),
    expected: "closed",
    others: { nbdkit: "ERR_INVALID" },
  },
  {
    name: "an option with a wrong magic number ends the connection",
    run: async (peer) => {
      const probe = await handshake(peer);
      const bytes = serializeOption({ option: option.list, data: new Uint8Array() });
      bytes.fill(0, 0, 8);
      await probe.send(bytes);
      return probe.ending();
    },
    expected: "closed",
  },
  {
    name: "an option of 4 GiB ends the connection",
    run: async (peer) => {
      const probe = await handshake(peer);
      const bytes = serializeOption({ option: option.list, data: new Uint8Array() });
      bytes.fill(255, 12);
      await probe.send(bytes);
      return probe.ending();
    },
    expected: "closed",
  },
  {
    name: "an unknown option is refused, its data is skipped, and the next one is answered",
    run: async (peer) => {
      const probe = await handshake(peer);
      return [await probe.option(4711, something), await probe.option(option.list)];
    },
    expected: ["ERR_UNSUP", "SERVER+ACK"],
  },
  {
    name: "everything may come byte by byte",
    run: async (peer) => {
      const probe = await handshake(peer);
      probe.fragment = 1;
      await probe.option(option.structuredReply);
      await probe.info(option.go, "disk");
      probe.style = "structured";
      return probe.outcome({ type: commands.write, offset: 0, payload: new Uint8Array(3).fill(0x5a) });
    },
    expected: "ok, alive",
  },
  {
    name: "everything may come at once",
    run: async (peer) => {
      const probe = new Probe(await peer.connect("writable"));
      const read = probe.request({ type: commands.read, length: 512 });
      await probe.send(
        Buffer.concat([
          Uint8Array.of(0, 0, 0, 3),
          serializeOption({ option: option.list, data: new Uint8Array() }),
          serializeOption({ option: option.go, data: serializeInfoRequest({ name: "disk", infos: [] }) }),
          read.bytes,
        ]),
      );
      await probe.bytes(18);
      const types = [...(await probe.replies()), ...(await probe.replies())].map(({ type }) => type);
      const { error } = await probe.reply({ type: commands.read, length: 512 });
      return [types.filter((type) => type === replyTypes.ack).length, error];
    },
    expected: [2, undefined],
  },
  {
    name: "a client can't go on with options for ever",
    run: async (peer) => {
      const probe = await handshake(peer);
      for (let count = 0; count < 1000; count++) {
        if ((await probe.option(4711)) === "closed") {
          return "closed";
        }
      }
      return "answered";
    },
    expected: "closed",
    others: { "qemu-nbd": "answered" },
  },
  ...[new Uint8Array(), something].map(
    (data) =>
      ({
        name: `ABORT with ${data.length} bytes of data is acknowledged, then the connection ends`,
        run: async (peer) => {
          const probe = await handshake(peer);
          return [await probe.option(option.abort, data), await probe.ending()];
        },
        expected: ["ACK", "closed"],
      }) satisfies ProbeCase,
  ),
  {
    name: "LIST with data is refused",
    run: async (peer) => (await handshake(peer)).option(option.list, something),
    expected: "ERR_INVALID",
  },
  {
    name: "STARTTLS is refused where there is no TLS",
    run: async (peer) => (await handshake(peer)).option(option.startTls),
    expected: "ERR_POLICY",
  },
  {
    name: "STARTTLS with data is refused",
    run: async (peer) => (await handshake(peer)).option(option.startTls, something),
    expected: "ERR_INVALID",
  },
  {
    name: "INFO tells what was asked for, and unknown questions don't matter",
    run: async (peer) => {
      const probe = await handshake(peer);
      const result = await probe.info(option.info, "disk", [3, 4711]);
      return [result, probe.size, probe.infos.map(({ kind }) => kind).sort()];
    },
    expected: ["ACK", diskSize, ["blockSize", "export"]],
    others: { nbdkit: ["ACK", diskSize, ["export"]] },
  },
  {
    name: "GO after INFO tells the same",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.info(option.info, "disk");
      const { infos } = probe;
      await probe.info(option.go, "disk");
      return JSON.stringify(infos) === JSON.stringify(probe.infos);
    },
    expected: true,
  },
  ...(
    [
      ["a name that is longer than the data", new WireWriter().uint32(100).bytes(text("disk")).uint16(0).finish()],
      ["a count of questions that lies", new WireWriter().sizedText("disk").uint16(5).finish()],
      ["bytes behind the end", new WireWriter().sizedText("disk").uint16(0).uint16(0).finish()],
      ["nothing at all", new Uint8Array()],
    ] as const
  ).map(
    ([what, data]) =>
      ({
        name: `INFO with ${what} is refused, and the next one is answered`,
        run: async (peer) => {
          const probe = await handshake(peer);
          return [await probe.option(option.info, data), await probe.info(option.info, "disk")];
        },
        expected: ["ERR_INVALID", "ACK"],
      }) satisfies ProbeCase,
  ),
  ...([option.info, option.go] as const).map(
    (number) =>
      ({
        name: `an unknown export is refused by option ${number}, with a message`,
        run: async (peer) => {
          const probe = await handshake(peer);
          const [reply] = await probe.ask(number, serializeInfoRequest({ name: "nothing", infos: [] }));
          return [reply?.type === replyTypes.errUnknown, (reply?.data.length ?? 0) > 0];
        },
        expected: [true, true],
        others: { nbdkit: skip },
      }) satisfies ProbeCase,
  ),
  {
    name: "a name of 4096 bytes is one, and the message about it is no longer than a string may be",
    run: async (peer) => {
      const probe = await handshake(peer);
      const [reply] = await probe.ask(option.info, serializeInfoRequest({ name: "x".repeat(4096), infos: [] }));
      return [reply?.type === replyTypes.errUnknown, (reply?.data.length ?? 0) <= 4096];
    },
    expected: [true, true],
    others: { nbdkit: skip },
  },
  {
    name: "a name of 4097 bytes is refused",
    run: async (peer) => {
      const data = new WireWriter().uint32(4097).bytes(new Uint8Array(4097).fill(120)).uint16(0).finish();
      return (await handshake(peer)).option(option.info, data);
    },
    expected: "ERR_INVALID",
  },
  {
    name: "EXPORT_NAME is answered without padding when both want it so",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.send(serializeOption({ option: option.exportName, data: text("disk") }));
      return [(await probe.exportNameReply(false)).size, await probe.alive()];
    },
    expected: [diskSize, "alive"],
  },
  {
    name: "EXPORT_NAME is answered with padding to clients that haven't said so",
    run: async (peer) => {
      const probe = await Probe.greet(await peer.connect("writable"), 1);
      await probe.send(serializeOption({ option: option.exportName, data: text("disk") }));
      return [(await probe.exportNameReply(true)).size, await probe.alive()];
    },
    expected: [diskSize, "alive"],
  },
  {
    name: "GO is never followed by padding",
    run: async (peer) => {
      const probe = await Probe.greet(await peer.connect("writable"), 1);
      return [await probe.info(option.go, "disk"), await probe.alive()];
    },
    expected: ["ACK", "alive"],
  },
  {
    name: "EXPORT_NAME of an unknown export ends the connection",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.send(serializeOption({ option: option.exportName, data: text("nothing") }));
      return probe.ending();
    },
    expected: "closed",
    others: { nbdkit: skip },
  },
  {
    name: "EXPORT_NAME after extended headers ends the connection",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.extendedHeaders);
      await probe.send(serializeOption({ option: option.exportName, data: text("disk") }));
      return probe.ending();
    },
    expected: "closed",
    others: { "qemu-nbd": skip, nbdkit: skip },
  },
  {
    name: "structured replies are agreed on once, and not with data",
    run: async (peer) => {
      const probe = await handshake(peer);
      return [
        await probe.option(option.structuredReply, something),
        await probe.option(option.structuredReply),
        await probe.option(option.structuredReply),
      ];
    },
    expected: ["ERR_INVALID", "ACK", "ERR_INVALID"],
    others: { nbdkit: ["ERR_INVALID", "ACK", "ACK"] },
  },
  {
    name: "extended headers are agreed on once, and not with data, and take the place of structured replies",
    run: async (peer) => {
      const probe = await handshake(peer);
      return [
        await probe.option(option.extendedHeaders, something),
        await probe.option(option.extendedHeaders),
        await probe.option(option.extendedHeaders),
        await probe.option(option.structuredReply),
      ];
    },
    expected: ["ERR_INVALID", "ACK", "ERR_INVALID", "ERR_EXT_HEADER_REQD"],
    others: { "qemu-nbd": skip, nbdkit: skip },
  },
  {
    name: "don't-fragment is offered exactly with structured replies",
    run: async (peer) => {
      const flags = [];
      for (const style of ["simple", "structured"] as const) {
        flags.push(((await transmission(peer, { style })).flags & transmissionFlags.sendDf) !== 0);
      }
      return flags;
    },
    expected: [false, true],
  },
  {
    name: "a writable export has flush, FUA, trim and zeroes, a read-only one says so",
    run: async (peer) => {
      const names = ["hasFlags", "readOnly", "sendFlush", "sendFua", "sendTrim", "sendWriteZeroes"] as const;
      const seen = [];
      for (const kind of ["writable", "readOnly"] as const) {
        const { flags } = await transmission(peer, { kind });
        seen.push(names.filter((name) => (flags & transmissionFlags[name]) !== 0).join(" "));
      }
      return seen;
    },
    expected: ["hasFlags sendFlush sendFua sendTrim sendWriteZeroes", "hasFlags readOnly sendFlush sendFua"],
    others: { nbdkit: ["hasFlags sendFlush sendFua sendTrim sendWriteZeroes", "hasFlags readOnly sendFlush"] },
  },
  {
    name: "contexts are listed: all, by namespace, by name, and none of an unknown namespace",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.structuredReply);
      const results = [];
      for (const queries of [[], ["base:"], ["base:allocation"], ["x-none:", "other:thing"]]) {
        const data = serializeMetaContextRequest({ name: "disk", queries });
        results.push(await probe.option(option.listMetaContext, data));
      }
      return results;
    },
    expected: ["META_CONTEXT+ACK", "META_CONTEXT+ACK", "META_CONTEXT+ACK", "ACK"],
  },
  {
    name: "contexts are selected by name only, each once",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.structuredReply);
      const counts = [];
      for (const queries of [[], ["base:"], ["base:nothing", "x-none:a"], ["base:allocation", "base:allocation"]]) {
        counts.push([await probe.select("disk", queries), probe.contexts.length]);
      }
      return counts;
    },
    expected: [
      ["ACK", 0],
      ["ACK", 0],
      ["ACK", 0],
      ["ACK", 1],
    ],
    others: {
      nbdkit: [
        ["ACK", 0],
        ["ACK", 0],
        ["ACK", 0],
        ["ACK", 2],
      ],
    },
  },
  {
    name: "contexts need structured replies, a known export, and data as it should be",
    run: async (peer) => {
      const probe = await handshake(peer);
      const early = await probe.select("disk", ["base:allocation"]);
      await probe.option(option.structuredReply);
      const overrun = new WireWriter().sizedText("disk").uint32(1).uint32(50).bytes(text("base:")).finish();
      return [early, await probe.option(option.setMetaContext, overrun)];
    },
    expected: ["ERR_INVALID", "ERR_INVALID"],
  },
  {
    name: "contexts of an unknown export are refused",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.structuredReply);
      const data = serializeMetaContextRequest({ name: "nothing", queries: [] });
      return [await probe.select("nothing", ["base:allocation"]), await probe.option(option.listMetaContext, data)];
    },
    expected: ["ERR_UNKNOWN", "ERR_UNKNOWN"],
    others: { nbdkit: skip },
  },
  {
    name: "a selection that fails takes the one before it away",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.structuredReply);
      await probe.select("disk", ["base:allocation"]);
      await probe.option(option.setMetaContext, something);
      await probe.info(option.go, "disk");
      probe.style = "structured";
      return probe.outcome({ type: commands.blockStatus, length: 512 });
    },
    expected: "EINVAL, alive",
    others: { nbdkit: "ok, alive" },
  },
  {
    name: "contexts that were selected for another name don't count",
    run: async (peer) => {
      const probe = await handshake(peer);
      await probe.option(option.structuredReply);
      await probe.select("disk", ["base:allocation"]);
      await probe.info(option.go, "");
      probe.style = "structured";
      return probe.outcome({ type: commands.blockStatus, length: 512 });
    },
    expected: "EINVAL, alive",
    others: { "qemu-nbd": skip },
  },
];
