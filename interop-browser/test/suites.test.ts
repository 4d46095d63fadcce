import { afterAll, beforeAll, expect, it } from "vitest";
import { Browser } from "../src/host/browser.ts";
import { bundle } from "../src/host/bundle.ts";
import { PageServer } from "../src/host/page-server.ts";

interface CaseReport {
  readonly suite: string;
  readonly name: string;
  readonly failure?: string;
}

/** The suites use Node's assertions and its turns of the event loop; what is tested must need nothing of the kind. */
const suites = bundle(
  { file: "test/worker/suites-worker.ts" },
  {
    instead: {
      "node:assert/strict": "./test/worker/node/assert.ts",
      "node:timers/promises": "./test/worker/node/timers.ts",
      "node:os": "./test/worker/node/os.ts",
      "node:util": "./test/worker/node/os.ts",
    },
    globals: ["./test/worker/node/buffer.ts"],
  },
);
let server: PageServer;
let browser: Browser;
let reports: readonly CaseReport[];

beforeAll(async () => {
  const page = new TextEncoder().encode("<!doctype html><title>suites</title><link rel=icon href=data:,>");
  server = await PageServer.start(
    new Map([
      ["/", { type: "text/html", body: page }],
      ["/suites-worker.js", { type: "text/javascript", body: (await suites).code }],
    ]),
  );
  browser = await Browser.launch();
  reports = await runSuites();
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function runSuites(): Promise<readonly CaseReport[]> {
  const page = await browser.open(server.url("/"));
  const answer: unknown = await page.evaluate(
    // runs in the page
    `new Promise((resolve, reject) => {
      const worker = new Worker("suites-worker.js", { type: "module" });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    })`,
  );
  expect(answer).toBeInstanceOf(Array);
  return answer as readonly CaseReport[];
}

it.each([
  ["an access handle", 60],
  ["a File", 10],
  ["a Blob", 10],
  ["qcow2", 40],
] as const)("passes every case in a browser: %s", (suite, least) => {
  const cases = reports.filter((report) => report.suite === suite);
  expect(cases.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(cases.length).toBeGreaterThan(least);
});

it("finds out a handle that doesn't write everything", () => {
  const failures = reports.filter(({ suite, failure }) => suite.startsWith("a forgetful") && failure !== undefined);
  expect(failures.map(({ name }) => name)).toContain("keeps what is written, and everything around it (async)");
  expect(failures.length).toBeGreaterThan(20);
});

it("complains about nothing", () => {
  expect(browser.complaints()).toEqual([]);
});
