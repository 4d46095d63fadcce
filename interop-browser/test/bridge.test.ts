import { afterAll, beforeAll, expect, it } from "vitest";
import { Browser } from "../src/host/browser.ts";
import { script } from "../src/host/page-files.ts";
import { PageServer } from "../src/host/page-server.ts";

let server: PageServer;
let browser: Browser;
let report: Readonly<Record<string, unknown>>;

beforeAll(async () => {
  const page = new TextEncoder().encode("<!doctype html><title>bridge</title><link rel=icon href=data:,>");
  server = await PageServer.start(
    new Map([
      ["/", { type: "text/html", body: page }],
      ["/bridge-worker.js", await script("test/worker/bridge-worker.ts")],
      ["/bridged-storage-worker.js", await script("test/worker/bridged-storage-worker.ts")],
      ["/web-bridge-worker.js", await script("../packages/sync/src/web-bridge-worker.ts")],
    ]),
  );
  browser = await Browser.launch();
  const opened = await browser.open(server.url("/"));
  report = await opened.evaluate(
    // runs in the page
    `new Promise((resolve, reject) => {
      const worker = new Worker("bridge-worker.js", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    })`,
  );
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

it("blocks for a storage in another worker, and reads and writes it", () => {
  expect(report).toMatchObject({
    "written and read": ["111555", 3_000_008],
    "read with a promise": "5500",
    closed: "ERR_IMG_CLOSED: bridged is closed",
    "refuse shared memory": "111111",
  });
});

it("hears what storages and modules say, also in browsers' errors", () => {
  expect(report).toMatchObject({
    refuse: "EIO: bridged: cannot read 6 bytes at 0x0: no permission",
    "no module": true,
  });
});

it("fails when its worker is gone, instead of blocking for ever", () => {
  const lost = "EIO: bridged has lost the worker that runs it";
  expect(report).toMatchObject({
    "close the worker": `${lost}: it closed itself`,
    "throw elsewhere": expect.stringMatching(`${lost}: .*thrown elsewhere`) as string,
    "reject elsewhere": `${lost}: rejected elsewhere`,
    nothing: "ETIMEDOUT: bridged did not answer read within 2000 ms, so its worker was ended",
    "blocking before it starts": expect.stringMatching("ETIMEDOUT: .* waits for a worker that doesn't start") as string,
  });
});
