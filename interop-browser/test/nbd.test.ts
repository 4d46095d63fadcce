import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Browser } from "../src/host/browser.ts";
import { compressedExample, type ExampleImage } from "../src/host/example-images.ts";
import { script } from "../src/host/page-files.ts";
import { PageServer } from "../src/host/page-server.ts";

let directory: string;
let image: ExampleImage;
let server: PageServer;
let browser: Browser;
let report: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "img-browser-nbd-"));
  image = compressedExample(directory, "zlib");
  const page = new TextEncoder().encode("<!doctype html><title>nbd</title><link rel=icon href=data:,>");
  server = await PageServer.start(
    new Map([
      ["/", { type: "text/html", body: page }],
      ["/disk.qcow2", { type: "application/octet-stream", body: readFileSync(image.path) }],
      ["/nbd-server-worker.js", await script("test/worker/nbd-server-worker.ts")],
      ["/nbd-client-worker.js", await script("test/worker/nbd-client-worker.ts")],
    ]),
  );
  browser = await Browser.launch();
  const opened = await browser.open(server.url("/"));
  report = await opened.evaluate(
    // runs in the page: two workers that know of each other only what goes through a port
    `(async () => {
      const file = new File([await (await fetch("disk.qcow2")).blob()], "chosen.qcow2");
      const { port1, port2 } = new MessageChannel();
      return await new Promise((resolve, reject) => {
        const fail = ({ message }) => reject(new Error(message));
        const serving = new Worker("nbd-server-worker.js", { type: "module" });
        serving.onerror = fail;
        serving.postMessage({ file, clients: port1 }, [port1]);
        const using = new Worker("nbd-client-worker.js", { type: "module" });
        using.onmessage = ({ data }) => resolve(data);
        using.onerror = fail;
        using.postMessage(port2, [port2]);
      });
    })()`,
  );
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

it("serves an image that somebody has chosen, and another worker reads it as a disk", () => {
  expect(report).toMatchObject({
    exports: ["file: chosen.qcow2", "memory: "],
    size: image.contents.length,
    sha256: image.sha256,
    writing: "ERR_IMG_READ_ONLY",
  });
});

it("says where the image's holes are", () => {
  const { dataBytes } = report;
  expect(dataBytes).toBeGreaterThan(4 * 1024 * 1024);
  expect(dataBytes).toBeLessThan(image.contents.length - 2 * 1024 * 1024);
});

it("writes, zeroes and flushes a disk through a port", () => {
  expect(report).toMatchObject({ written: "0 1 2 0 0 5 6 0" });
});

it("complains about nothing", () => {
  expect(browser.complaints()).toEqual([]);
});
