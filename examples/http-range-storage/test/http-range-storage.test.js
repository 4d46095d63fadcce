import { allowAll, FormatRegistry, MemoryStorage, openerByScheme } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { HttpRangeStorage, storages } from "http-range-storage";
import { startNginx } from "./nginx.js";

/** @param {number} length */
function pattern(length) {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 255);
}

/**
 * @param {HttpRangeStorage} storage
 * @param {number} offset
 * @param {number} length
 */
async function read(storage, offset, length) {
  const bytes = new Uint8Array(length).fill(0xee);
  await storage.read(IoVector.single(bytes), offset);
  return bytes;
}

suite("on nginx", () => {
  /** @type {Awaited<ReturnType<typeof startNginx>>} */
  let server;
  const contents = pattern(1024 * 1024 + 100);
  before(async () => {
    server = await startNginx(`
      location /whole { max_ranges 0; }
      location /untagged { etag off; }
      location /private { return 403; }
      location /zipped { gzip on; gzip_types *; gzip_min_length 1; }
    `);
    for (const name of ["whole", "untagged", "zipped"]) {
      writeFileSync(join(server.root, name), contents);
    }
    writeFileSync(join(server.root, "disk.raw"), contents);
  });
  after(() => server.stop());

  /** How many requests the server has logged. @param {string} name */
  const requests = (name) => readFileSync(server.accessLog, "utf8").split(`GET /${name} `).length - 1;

  test("neighbours that are asked for together are one request, and none when they are asked for again", async () => {
    writeFileSync(join(server.root, "counted"), contents);
    const storage = await HttpRangeStorage.open(`${server.url}counted`, { blockSize: 4096 });
    const offsets = [1, 2, 3, 4, 8, 9].map((index) => index * 4096);
    const all = await Promise.all([...offsets, 4096].map((offset) => read(storage, offset, 4096)));
    assert.deepEqual(all[0], contents.slice(4096, 8192));
    assert.deepEqual(all[5], contents.slice(9 * 4096, 10 * 4096));
    await read(storage, 4096, 16384);
    await storage[Symbol.asyncDispose]();
    // it logs a request when all of it is sent, which may be after we have it
    for (let wait = 0; wait < 100 && requests("counted") < 3; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(requests("counted"), 3);
  });

  test("a file that has changed fails by name, and is never mixed", async () => {
    const storage = await HttpRangeStorage.open(`${server.url}disk.raw`, { blockSize: 4096, cacheSize: 8192 });
    assert.deepEqual(await read(storage, 500_000, 10), contents.slice(500_000, 500_010));
    writeFileSync(join(server.root, "new"), pattern(1024 * 1024 + 101));
    renameSync(join(server.root, "new"), join(server.root, "disk.raw"));
    await assert.rejects(read(storage, 700_000, 10), { name: "ImgError", code: "ESTALE" });
    writeFileSync(join(server.root, "disk.raw"), contents);
  });

  test("what can't be read right is refused by name", async () => {
    for (const [path, code] of [
      ["missing", "ENOENT"],
      ["private", "EACCES"],
      ["whole", "ERR_IMG_UNSUPPORTED"],
      ["untagged", "ERR_IMG_UNSUPPORTED"],
    ]) {
      await assert.rejects(HttpRangeStorage.open(server.url + path), { name: "ImgError", code });
    }
    // it isn't asked to compress, so it doesn't
    const zipped = await HttpRangeStorage.open(`${server.url}zipped`);
    assert.deepEqual(await read(zipped, 70_000, 100), contents.slice(70_000, 70_100));
    await assert.rejects(HttpRangeStorage.open("ftp://example.org/disk"), TypeError);
  });

  test("an image there opens by its URL, and as the backing image of another one through a gate", async () => {
    const disk = pattern(300_000);
    const made = new MemoryStorage();
    const image = await qcow2.create(made, { size: 1024 * 1024 });
    await image.write(disk, 1000);
    await image.flush();
    writeFileSync(join(server.root, "base.qcow2"), made.toUint8Array());
    await image.close();

    const formats = new FormatRegistry([qcow2, raw]);
    const url = `${server.url}base.qcow2`;
    const base = await formats.open(await HttpRangeStorage.open(url));
    const bytes = new Uint8Array(disk.length);
    await base.read(bytes, 1000);
    assert.deepEqual(bytes, disk);

    const overlay = new MemoryStorage();
    const opener = openerByScheme(storages, { open: noFile, canonical: noFile });
    const gate = allowAll({ opener, formats });
    const top = await qcow2.create(overlay, {
      size: 1024 * 1024,
      backingFile: { name: url, format: "qcow2" },
      backing: base,
    });
    await top.write(new Uint8Array(10).fill(9), 2000);
    await top.flush();
    const copy = new MemoryStorage(overlay.toUint8Array());
    await top.close();
    await base.close();

    await assert.rejects(qcow2.open(new MemoryStorage(overlay.toUint8Array())), { code: "ERR_IMG_DENIED" });
    const again = await qcow2.open(copy, { gate });
    await again.read(bytes, 1000);
    assert.deepEqual(bytes, disk.fill(9, 1000, 1010));
    await again.close();
  });

  test("names inside of an image lead to the same server, whatever they look like", async () => {
    const storage = await HttpRangeStorage.open(`${server.url}disk.raw`);
    const { origin } = new URL(server.url);
    for (const name of [
      "base.qcow2",
      "/etc/passwd",
      "//example.org/x",
      "http://example.org/x",
      "../../a?b#c",
      "\\\\x",
    ]) {
      assert.equal(new URL(storage.resolve(name)).origin, origin);
    }
    assert.equal(storage.resolve("a b/c.raw"), `${server.url}a%20b/c.raw`);
    assert.equal(storage.resolve("../a"), `${server.url}a`);
    await storage[Symbol.asyncDispose]();
  });

  /** @returns {never} */
  function noFile() {
    throw new Error("a file was asked for");
  }
});

/** @typedef {import("node:http").RequestListener} Listener */

/**
 * @param {Listener} listener
 * @param {(url: string) => Promise<void>} work
 */
async function withServer(listener, work) {
  const server = createServer(listener);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  try {
    await work(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/disk`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

suite("on servers with manners of their own", () => {
  const contents = pattern(20_000);
  const fast = { blockSize: 4096, backoff: 1, retries: 3 };

  /**
   * What a good server answers.
   *
   * @type {Listener}
   */
  const good = (request, response) => {
    const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const bytes = contents.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, {
      etag: '"one"',
      "content-length": bytes.length,
      "content-range": `bytes ${first}-${Number(first) + bytes.length - 1}/${contents.length}`,
    });
    response.end(bytes);
  };

  /**
   * A good server whose headers are different.
   *
   * @param {(headers: Record<string, string | undefined>) => void} change
   * @returns {Listener}
   */
  const changed = (change) => (request, response) => {
    const writeHead = response.writeHead.bind(response);
    Reflect.set(
      response,
      "writeHead",
      (/** @type {number} */ status, /** @type {Record<string, string>} */ headers) => {
        change(headers);
        return writeHead(status, headers);
      },
    );
    good(request, response);
  };

  test("one that ignores ranges is refused, without its answer being read", () =>
    withServer(
      (_, response) => {
        response.writeHead(200, { etag: '"one"' });
        response.write(contents);
        // never ends
      },
      async (url) => {
        await assert.rejects(HttpRangeStorage.open(url, fast), {
          code: "ERR_IMG_UNSUPPORTED",
          message: /ignores range/,
        });
      },
    ));

  for (const [name, change, message] of /** @type {const} */ ([
    ["encodes", (/** @type {any} */ headers) => (headers["content-encoding"] = "gzip"), /encodes/],
    ["has a weak ETag", (/** @type {any} */ headers) => (headers.etag = 'W/"one"'), /no strong ETag/],
    ["has no ETag", (/** @type {any} */ headers) => delete headers.etag, /no strong ETag/],
    ["says another range", (/** @type {any} */ headers) => (headers["content-range"] = "bytes 5-9/20000"), /the range/],
    [
      "doesn't know the size",
      (/** @type {any} */ headers) => (headers["content-range"] = "bytes 0-4095/*"),
      /the range/,
    ],
  ])) {
    test(`one that ${name} is refused`, () =>
      withServer(changed(change), async (url) => {
        await assert.rejects(HttpRangeStorage.open(url, fast), { code: "ERR_IMG_UNSUPPORTED", message });
      }));
  }

  test("one that doesn't know If-Match gives the change away by its ETag, or by the size", async () => {
    for (const change of [
      (/** @type {any} */ headers) => (headers.etag = '"two"'),
      (/** @type {any} */ headers) => (headers["content-range"] = headers["content-range"].replace("/20000", "/20001")),
    ]) {
      let opened = false;
      await withServer(
        (request, response) => (opened ? changed(change) : good)(request, response),
        async (url) => {
          const storage = await HttpRangeStorage.open(url, fast);
          opened = true;
          await assert.rejects(read(storage, 8192, 100), { code: "ESTALE" });
        },
      );
    }
  });

  test("failures that may pass are tried again, so many times and no more", async () => {
    /** @type {((response: import("node:http").ServerResponse, request: import("node:http").IncomingMessage) => void)[]} */
    const failures = [
      (response) => response.writeHead(503, { "retry-after": "0" }).end(),
      (response) => response.destroy(),
      (response, request) => {
        // half of what it promises
        const write = response.end.bind(response);
        Reflect.set(response, "end", (/** @type {Uint8Array} */ bytes) => {
          response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
          return write;
        });
        good(request, response);
      },
    ];
    let calls = 0;
    await withServer(
      (request, response) => {
        const failure = failures[calls++];
        return failure === undefined ? good(request, response) : failure(response, request);
      },
      async (url) => {
        const storage = await HttpRangeStorage.open(url, fast);
        assert.equal(calls, 4);
        assert.deepEqual(await read(storage, 5, 100), contents.slice(5, 105));
        failures.length = 0;
        failures.push(
          ...Array.from({ length: 10 }, () => (/** @type {any} */ response) => response.writeHead(500).end()),
        );
        calls = 0;
        await assert.rejects(read(storage, 10_000, 1), { code: "EIO", message: /500, 4 times/ });
        assert.equal(calls, 4);
      },
    );
  });

  test("one that doesn't answer is given up, and a signal ends what is in flight at once", async () => {
    let silent = false;
    await withServer(
      (request, response) => (silent ? undefined : good(request, response)),
      async (url) => {
        const controller = new AbortController();
        const options = { ...fast, retries: 1, timeout: 60, signal: controller.signal };
        const storage = await HttpRangeStorage.open(url, { ...options, timeout: 5000 });
        const hasty = await HttpRangeStorage.open(url, options);
        silent = true;
        await assert.rejects(read(hasty, 9000, 1), { code: "EIO", message: /no answer within 60 ms, 2 times/ });
        const reading = read(storage, 9000, 1);
        controller.abort(new Error("enough"));
        await assert.rejects(reading, { message: "enough" });
      },
    );
  });

  test("closing ends what is in flight", async () => {
    let silent = false;
    await withServer(
      (request, response) => (silent ? undefined : good(request, response)),
      async (url) => {
        const storage = await HttpRangeStorage.open(url, fast);
        silent = true;
        const reading = assert.rejects(read(storage, 9000, 1), { code: "ERR_IMG_CLOSED" });
        await storage[Symbol.asyncDispose]();
        await reading;
      },
    );
  });
});
