import { ImgError, MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { SeededRandom } from "@img/testing";
import { expect, test } from "vitest";
import { duplexPair, listExports, NbdServer, NbdStorage, storageExport, type DuplexStream } from "../../src/index.ts";
import { serializeError, serializeHole, serializeStatus } from "../../src/protocol/chunk-payload.ts";
import { serializeExportEntry } from "../../src/protocol/export-entry.ts";
import { serializeGreeting } from "../../src/protocol/greeting.ts";
import { optionTypes, replyTypes } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoItem } from "../../src/protocol/info-item.ts";
import { serializeOptionReply } from "../../src/protocol/option-reply.ts";
import type { NbdRequest } from "../../src/protocol/request.ts";
import { chunkDone, chunkTypes } from "../../src/protocol/transmission-numbers.ts";
import { WireWriter } from "../../src/protocol/wire-writer.ts";
import { contextId, FakeServer, type FakeExport } from "../helpers/fake-server.ts";

const offset = 8192;
const length = 4096;

function data(at: number, count: number, byte = 0x5a): Uint8Array {
  return new WireWriter().uint64(at).bytes(new Uint8Array(count).fill(byte)).finish();
}

type Answer = (server: FakeServer, request: NbdRequest) => readonly Uint8Array[];

/** What a read of 4 KiB at 8 KiB gives, and the storage, when the server answers like that. */
async function readFrom(answer: Answer, fake: FakeExport = {}): Promise<{ bytes: Uint8Array; error: unknown }> {
  const connect = FakeServer.connector(async (server) => {
    await server.handshake(fake);
    const request = await server.request();
    await server.send(...answer(server, request));
    await server.obey();
  });
  const storage = await NbdStorage.open(connect, { reconnectTimeout: 0 });
  const bytes = new Uint8Array(length).fill(0xee);
  const error: unknown = await storage.read(IoVector.single(bytes), offset).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ImgError && error.code === "EPROTO") {
    // whom nothing can be believed of isn't asked again
    await expect(storage.read(IoVector.single(bytes), 0)).rejects.toMatchObject({ code: "EPROTO" });
  }
  await storage[Symbol.asyncDispose]();
  return { bytes, error };
}

const { offsetData, offsetHole, none, blockStatus, error: errorChunk } = chunkTypes;
const done = chunkDone;

const violations: Readonly<Record<string, Answer>> = {
  "begins with something else than a reply": () => [new Uint8Array(64).fill(1)],
  "answers what was never asked": (server, request) => [server.simple({ ...request, cookieLow: 99 })],
  "answers with a cookie of more than 32 bits": (server, request) => [server.simple({ ...request, cookieHigh: 1 })],
  "sends data before the range": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset - 1, 2) }),
  ],
  "sends data behind the range": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset + length - 1, 2) }),
  ],
  "sends data far beyond": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(2 ** 50, 2) }),
  ],
  "announces 4 GiB of data": (server, request) => [
    server.chunk(request, { type: offsetData, length: 0xffff_ffff, payload: data(offset, 1) }),
  ],
  "sends data without bytes": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, 0) }),
  ],
  "sends bytes twice": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, 1024) }),
    server.chunk(request, { type: offsetData, payload: data(offset, 1024) }),
  ],
  "sends chunks that overlap": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset + 1024, 1024) }),
    server.chunk(request, { type: offsetData, payload: data(offset, 1025) }),
  ],
  "sends a hole over data": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, 2048) }),
    server.chunk(request, { type: offsetHole, payload: serializeHole({ offset: offset + 2047, length: 100 }) }),
  ],
  "is done before everything has come": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, length - 1), flags: done }),
  ],
  "is done before anything has come": (server, request) => [server.chunk(request, { type: none, flags: done })],
  "sends an empty hole": (server, request) => [
    server.chunk(request, { type: offsetHole, payload: serializeHole({ offset, length: 0 }) }),
  ],
  "sends a hole that is too long": (server, request) => [
    server.chunk(request, { type: offsetHole, payload: serializeHole({ offset, length: 0xffff_ffff }) }),
  ],
  "sends a hole that isn't one": (server, request) => [
    server.chunk(request, { type: offsetHole, payload: new Uint8Array(13) }),
  ],
  "sends a chunk of nothing that isn't the last": (server, request) => [server.chunk(request, { type: none })],
  "sends extents in the answer to a read": (server, request) => [
    server.chunk(request, {
      type: blockStatus,
      payload: serializeStatus({ id: contextId, extents: [{ length, flags: 0 }] }, false),
    }),
  ],
  "sends a chunk of a type that nobody knows": (server, request) => [server.chunk(request, { type: 77 })],
  "sends an error of 1 MiB": (server, request) => [server.chunk(request, { type: errorChunk, length: 1024 * 1024 })],
  "sends error number 0": (server, request) => [
    server.chunk(request, { type: errorChunk, payload: serializeError({ error: 0, message: "" }) }),
  ],
  "goes over to a simple reply in the middle": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, 1024) }),
    server.simple(request),
    new Uint8Array(length),
  ],
};

test.each(Object.entries(violations))("a server that %s is dropped, and not believed any more", async (_, answer) => {
  const { error } = await readFrom(answer);
  expect(error).toMatchObject({ code: "EPROTO" });
});

test("a chunk for another offset than the request's is no answer, with extended headers", async () => {
  const whole: Answer = (server, request) => [
    server.chunk({ ...request, offsetLow: request.offsetLow + 1 }, { type: offsetData, payload: data(offset, length) }),
  ];
  const { error } = await readFrom(whole, { style: "extended" });
  expect(error).toMatchObject({ code: "EPROTO" });
});

test("a simple reply is no answer, with extended headers", async () => {
  const { error } = await readFrom((server, request) => [server.simple(request)], { style: "extended" });
  expect(error).toMatchObject({ code: "EPROTO" });
});

test("a second answer to the same request ends the connection", async () => {
  const { error } = await readFrom((server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, length), flags: done }),
    server.chunk(request, { type: none, flags: done }),
  ]);
  expect(error).toBeUndefined();
  const connect = FakeServer.connector(async (server) => {
    await server.handshake({});
    const request = await server.request();
    await server.send(server.simple(request), new Uint8Array(request.length), server.simple(request));
  });
  const storage = await NbdStorage.open(connect, { reconnectTimeout: 0 });
  await storage.read(IoVector.single(new Uint8Array(length)), offset);
  const next = storage.read(IoVector.single(new Uint8Array(length)), offset);
  await expect(next).rejects.toMatchObject({ code: "EPROTO" });
  await storage[Symbol.asyncDispose]();
});

const right: Readonly<Record<string, Answer>> = {
  "in one chunk": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset, length), flags: done }),
  ],
  "in any order": (server, request) => [
    server.chunk(request, { type: offsetData, payload: data(offset + 2048, 1024) }),
    server.chunk(request, { type: offsetData, payload: data(offset, 512) }),
    server.chunk(request, { type: offsetData, payload: data(offset + 3072, 1024) }),
    server.chunk(request, { type: offsetData, payload: data(offset + 512, 1536) }),
    server.chunk(request, { type: none, flags: done }),
  ],
  "byte by byte": (server, request) =>
    [...server.chunk(request, { type: offsetData, payload: data(offset, length), flags: done })].map((byte) =>
      Uint8Array.of(byte),
    ),
  "by a simple reply": (server, request) => [server.simple(request), new Uint8Array(length).fill(0x5a)],
};

test.each(Object.entries(right))("data is taken %s", async (_, answer) => {
  const { bytes, error } = await readFrom(answer);
  expect(error).toBeUndefined();
  expect(bytes.every((byte) => byte === 0x5a)).toBe(true);
});

test("holes read as zero", async () => {
  const { bytes } = await readFrom((server, request) => [
    server.chunk(request, { type: offsetHole, payload: serializeHole({ offset: offset + 1000, length: 3096 }) }),
    server.chunk(request, { type: offsetData, payload: data(offset, 1000), flags: done }),
  ]);
  expect(bytes.findIndex((byte) => byte !== 0x5a)).toBe(1000);
  expect(bytes.subarray(1000).every((byte) => byte === 0)).toBe(true);
});

const errors: readonly (readonly [what: string, code: string, answer: Answer])[] = [
  [
    "an error chunk",
    "EIO",
    (server, request) => [
      server.chunk(request, {
        type: errorChunk,
        payload: serializeError({ error: 5, message: "bad\u001b[2J disk" }),
        flags: done,
      }),
    ],
  ],
  [
    "an error behind data",
    "ENOMEM",
    (server, request) => [
      server.chunk(request, { type: offsetData, payload: data(offset, 512) }),
      server.chunk(request, {
        type: chunkTypes.errorOffset,
        payload: serializeError({ error: 12, message: "", offset }),
      }),
      server.chunk(request, { type: errorChunk, payload: serializeError({ error: 5, message: "the second" }) }),
      server.chunk(request, { type: none, flags: done }),
    ],
  ],
  [
    "an error chunk of a type that nobody knows",
    "EIO",
    (server, request) => [
      server.chunk(request, { type: 0x8077, payload: serializeError({ error: 5, message: "" }), flags: done }),
    ],
  ],
  ["an error number that nobody knows", "EINVAL", (server, request) => [server.simple(request, 4711)]],
];

test.each(errors)("%s fails the one request, and the connection goes on", async (_, code, answer) => {
  const { error } = await readFrom(answer);
  expect(error).toMatchObject({ code });
  expect((error as Error).message).not.toContain("\u001b");
});

/** What a client makes of a server with this handshake. */
async function open(script: (server: FakeServer) => Promise<void>): Promise<unknown> {
  const options = { reconnectTimeout: 0, handshakeTimeout: 1000 };
  try {
    await (await NbdStorage.open(FakeServer.connector(script), options))[Symbol.asyncDispose]();
    return "opened";
  } catch (error) {
    return error instanceof ImgError ? error.code : error;
  }
}

const option = (reply: Parameters<typeof serializeOptionReply>[0]): Uint8Array => serializeOptionReply(reply);
const none8 = new Uint8Array();

const handshakes: readonly (readonly [what: string, result: string, script: (server: FakeServer) => Promise<void>])[] =
  [
    ["is no NBD server", "EPROTO", (server) => server.send(new TextEncoder().encode("SSH-2.0-OpenSSH_9.2\r\n"))],
    [
      "is of the old style",
      "EPROTO",
      (server) =>
        server.send(new WireWriter().magic([0x4e42444d, 0x41474943]).magic([0x4202, 0x81861253]).uint64(512).finish()),
    ],
    [
      "closes at once",
      "ECONNRESET",
      async (server) => {
        await server.stream.end();
      },
    ],
    [
      "answers another option",
      "EPROTO",
      async (server) => {
        await server.greet();
        await server.option();
        await server.reply(optionTypes.list, replyTypes.ack);
      },
    ],
    [
      "announces a reply of 4 GiB",
      "ERR_IMG_LIMIT",
      async (server) => {
        await server.greet();
        await server.option();
        const reply = option({ option: optionTypes.extendedHeaders, type: replyTypes.ack, data: none8 }).slice();
        new DataView(reply.buffer).setUint32(16, 0xffff_ffff);
        await server.send(reply);
      },
    ],
    [
      "talks about an export for ever",
      "EPROTO",
      async (server) => {
        await server.greet();
        while ((await server.option()).option !== optionTypes.go) {
          await server.send(option({ option: optionTypes.extendedHeaders, type: replyTypes.errUnsup, data: none8 }));
          await server.option();
          await server.send(option({ option: optionTypes.structuredReply, type: replyTypes.errUnsup, data: none8 }));
        }
        for (;;) {
          const data = serializeInfoItem({ kind: "name", name: "again" });
          await server.reply(optionTypes.go, replyTypes.info, data);
        }
      },
    ],
    [
      "has an export of 2^60 bytes",
      "ERR_IMG_LIMIT",
      async (server) => {
        await server.greet(1);
        await server.option();
        await server.reply(optionTypes.extendedHeaders, replyTypes.errUnsup);
        await server.option();
        await server.reply(optionTypes.structuredReply, replyTypes.errUnsup);
        await server.option();
        const data = new WireWriter()
          .uint16(0)
          .uint32(2 ** 28)
          .uint32(0)
          .uint16(1)
          .finish();
        await server.reply(optionTypes.go, replyTypes.info, data);
        await server.reply(optionTypes.go, replyTypes.ack);
      },
    ],
    [
      "doesn't say how long the export is",
      "EPROTO",
      async (server) => {
        await server.greet();
        for (const refused of [optionTypes.extendedHeaders, optionTypes.structuredReply]) {
          await server.option();
          await server.reply(refused, replyTypes.errUnsup);
        }
        await server.option();
        await server.reply(optionTypes.go, replyTypes.ack);
      },
    ],
    [
      "has blocks of 3 bytes",
      "EPROTO",
      (server) => server.handshake({ blockSizes: { minimum: 3, preferred: 4096, maximum: 65536 } }),
    ],
    [
      "has blocks larger than requests",
      "EPROTO",
      (server) => server.handshake({ blockSizes: { minimum: 4096, preferred: 4096, maximum: 512 } }),
    ],
    [
      "has half a block at its end",
      "ERR_IMG_UNSUPPORTED",
      (server) => server.handshake({ size: 1000, blockSizes: { minimum: 512, preferred: 4096, maximum: 65536 } }),
    ],
    [
      "wants TLS",
      "ERR_IMG_DENIED",
      async (server) => {
        await server.greet();
        await server.option();
        await server.reply(optionTypes.extendedHeaders, replyTypes.errTlsReqd);
      },
    ],
    [
      "doesn't have the export",
      "ENOENT",
      async (server) => {
        await server.greet();
        for (const refused of [optionTypes.extendedHeaders, optionTypes.structuredReply]) {
          await server.option();
          await server.reply(refused, replyTypes.errUnsup);
        }
        await server.option();
        await server.reply(optionTypes.go, replyTypes.errUnknown);
      },
    ],
    [
      "is old, and doesn't have the export",
      "ENOENT",
      async (server) => {
        await server.greet(0);
        await server.option();
        server.stream.destroy();
      },
    ],
    ["never says anything", "ETIMEDOUT", () => Promise.resolve()],
  ];

test.each(handshakes)("a server that %s is refused", async (_, result, script) => {
  expect(await open(script)).toBe(result);
});

test("requests don't wait for each other, and are answered in any order", async () => {
  const connect = FakeServer.connector(async (server) => {
    await server.handshake();
    const requests: NbdRequest[] = [];
    while (requests.length < 20) {
      requests.push(await server.request());
    }
    for (const request of requests.reverse()) {
      await server.send(server.simple(request), new Uint8Array(request.length).fill(request.offsetLow / 512));
    }
    await server.obey();
  });
  await using storage = await NbdStorage.open(connect);
  const buffers = Array.from({ length: 20 }, () => new Uint8Array(512));
  await Promise.all(buffers.map((buffer, index) => storage.read(IoVector.single(buffer), 512 * index)));
  expect(buffers.map(([first]) => first)).toEqual(buffers.map((_, index) => index));
});

test("old servers are opened by name, with padding and without", async () => {
  for (const [flags, padding] of [
    [0, 124],
    [1, 124],
    [3, 0],
  ] as const) {
    const result = await open(async (server) => {
      await server.greet(flags);
      let chosen = await server.option();
      while (chosen.option !== optionTypes.exportName) {
        await server.reply(chosen.option, replyTypes.errUnsup);
        chosen = await server.option();
      }
      await server.send(new WireWriter().uint64(4096).uint16(1).bytes(new Uint8Array(padding)).finish());
      await server.obey();
    });
    expect(result).toBe("opened");
  }
});

test("TLS isn't done without: not when it is refused, and not when the server is too old", async () => {
  const tls = { upgrade: (stream: DuplexStream) => stream };
  const refusing = FakeServer.connector(async (server) => {
    await server.greet();
    await server.option();
    await server.reply(optionTypes.startTls, replyTypes.errPolicy);
  });
  await expect(NbdStorage.open(refusing, { tls })).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
  const old = FakeServer.connector((server) => server.send(serializeGreeting(0)));
  await expect(NbdStorage.open(old, { tls })).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
});

test("bytes in the clear behind STARTTLS aren't taken for protected ones", async () => {
  const tls = { upgrade: (stream: DuplexStream) => stream };
  const connect = FakeServer.connector(async (server) => {
    await server.greet();
    await server.option();
    const ack = option({ option: optionTypes.startTls, type: replyTypes.ack, data: none8 });
    const injected = option({ option: optionTypes.extendedHeaders, type: replyTypes.errUnsup, data: none8 });
    await server.send(new Uint8Array([...ack, ...injected]));
  });
  await expect(NbdStorage.open(connect, { tls })).rejects.toMatchObject({ code: "EPROTO" });
});

test("an endless list of exports ends at a limit", async () => {
  const connect = FakeServer.connector(async (server) => {
    await server.greet();
    await server.option();
    const data = serializeExportEntry({ name: "x".repeat(4000), description: "y".repeat(4000) });
    for (;;) {
      await server.reply(optionTypes.list, replyTypes.server, data);
    }
  });
  await expect(listExports(connect)).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
});

/** What a client makes of the extents that a server sends for the first 1 MiB. */
async function askExtents(extended: boolean, ...payloads: readonly Uint8Array[]): Promise<unknown> {
  const connect = FakeServer.connector(async (server) => {
    await server.handshake({ style: extended ? "extended" : "structured" });
    const request = await server.request();
    for (const payload of payloads) {
      const type = extended ? chunkTypes.blockStatusExtended : chunkTypes.blockStatus;
      await server.send(server.chunk(request, { type, payload }));
    }
    await server.send(server.chunk(request, { type: none, flags: done }));
    await server.obey();
  });
  await using storage = await NbdStorage.open(connect, { reconnectTimeout: 0 });
  try {
    return await storage.extents?.(100, 10_000);
  } catch (error) {
    return error instanceof ImgError ? error.code : error;
  }
}

test.each([false, true])("extents are cut to what was asked for, extended: %s", async (extended) => {
  const status = (...extents: readonly (readonly [length: number, flags: number])[]): Uint8Array =>
    serializeStatus({ id: contextId, extents: extents.map(([bytes, flags]) => ({ length: bytes, flags })) }, extended);
  const ask = (...payloads: readonly Uint8Array[]): Promise<unknown> => askExtents(extended, ...payloads);
  expect(await ask(status([1000, 0], [500, 3], [500, 2], [2 ** 31, 1]))).toEqual([
    { kind: "data", offset: 100, length: 1000 },
    { kind: "hole", offset: 1100, length: 1000 },
    { kind: "data", offset: 2100, length: 8000 },
  ]);
  expect(await ask(status([4, 0]))).toEqual([{ kind: "data", offset: 100, length: 4 }]);
  // without the context nothing is known
  expect(await ask(serializeStatus({ id: 3, extents: [{ length: 10, flags: 3 }] }, extended))).toEqual([]);
  expect(await ask()).toEqual([]);
  expect(await ask(status([0, 3]))).toBe("EPROTO");
  expect(await ask(status([4, 0]), status([4, 0]))).toBe("EPROTO");
  expect(await ask(new Uint8Array(5))).toBe("EPROTO");
  expect(await ask(new Uint8Array(4))).toBe("EPROTO");
});

test("extents that nobody can use don't take memory, nor are they mistaken for others", async () => {
  const many = new WireWriter().uint32(contextId);
  for (let index = 0; index < 200_000; index++) {
    many.uint32(1).uint32(index % 2 === 0 ? 0 : 3);
  }
  const found = (await askExtents(false, many.finish())) as readonly unknown[];
  expect(found).toHaveLength(10_000);
  const tooMany = new Uint8Array(4 + 8 * (2 ** 20 + 1));
  expect(await askExtents(false, tooMany)).toBe("EPROTO");
});

/** A stream that changes some of the bytes that come through it. */
function spoiled(stream: DuplexStream, random: SeededRandom): DuplexStream {
  let rest = random.integer(0, 600);
  return {
    label: stream.label,
    write: (buffers) => stream.write(buffers),
    end: () => stream.end(),
    destroy: (error) => {
      stream.destroy(error);
    },
    read: async () => {
      const chunk = (await stream.read())?.slice();
      for (; chunk !== undefined && rest < chunk.length; rest += 1 + random.integer(0, 400)) {
        chunk[rest] = random.integer(0, 255);
      }
      rest -= chunk?.length ?? 0;
      return chunk;
    },
  };
}

test("whatever bytes come, the answer is data, extents or an ImgError", async () => {
  const random = new SeededRandom(Number(process.env["IMG_SEED"] ?? 1));
  const memory = new MemoryStorage(random.bytes(65536).fill(0, 10_000, 30_000));
  const outcomes = { fine: 0, failed: 0 };
  for (let round = 0; round < 300; round++) {
    const server = new NbdServer(new Map([["", storageExport(memory)]]));
    const streams: DuplexStream[] = [];
    const connect = (): DuplexStream => {
      const [left, right] = duplexPair("spoiled");
      void server.serve(right);
      streams.push(left);
      return isHonest ? left : spoiled(left, random);
    };
    // what was announced and doesn't come would be waited for
    const isHonest = round < 3;
    const timer = setTimeout(
      () => {
        for (const stream of streams) {
          stream.destroy();
        }
      },
      isHonest ? 10_000 : 50,
    );
    try {
      const options = { reconnectTimeout: 0, handshakeTimeout: isHonest ? 10_000 : 40, connections: 1, writable: true };
      await using storage = await NbdStorage.open(connect, options);
      const buffer = IoVector.of(new Uint8Array(7000), new Uint8Array(20_000));
      const work = [
        storage.read(buffer, 5000),
        Promise.resolve(storage.extents?.(0, 65536)),
        storage.write(IoVector.single(new Uint8Array(10)), 100),
        storage.sync(),
      ];
      for (const each of await Promise.allSettled(work)) {
        outcomes[each.status === "fulfilled" ? "fine" : "failed"]++;
        if (each.status === "rejected") {
          expect(each.reason).toBeInstanceOf(ImgError);
        }
      }
    } catch (error) {
      expect(error).toBeInstanceOf(ImgError);
      outcomes.failed++;
    } finally {
      clearTimeout(timer);
      await server.close({ grace: 0 });
    }
  }
  expect(outcomes.fine).toBeGreaterThanOrEqual(12);
  expect(outcomes.failed).toBeGreaterThan(100);
});
