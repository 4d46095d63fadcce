import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Browser } from "../src/host/browser.ts";
import { compressedExample, overlayExample, type ExampleImage } from "../src/host/example-images.ts";
import { pageFiles } from "../src/host/page-files.ts";
import { PageServer, type ServedFile } from "../src/host/page-server.ts";
import { qemuImg } from "../src/host/qemu-img.ts";
import { disposeSymbols, withoutDispose } from "../src/host/without-dispose.ts";
import { editBytes } from "../src/shared/edit.ts";
import { exampleEdits } from "../src/shared/example-edits.ts";

const results = join(import.meta.dirname, "..", "test-results");
const directory = mkdtempSync(join(tmpdir(), "img-page-"));
let files: Map<string, ServedFile>;
let server: PageServer;
let browser: Browser;
let zlib: ExampleImage;
let zstd: ExampleImage;
let overlay: ExampleImage;

beforeAll(async () => {
  mkdirSync(results, { recursive: true });
  zlib = compressedExample(directory, "zlib");
  zstd = compressedExample(directory, "zstd");
  overlay = overlayExample(directory, zstd);
  files = await pageFiles();
  for (const image of [zlib, zstd, overlay]) files.set(`/images/${basename(image.path)}`, served(image.path));
  for (const [path, file] of [...files].filter(([, { type }]) => type.startsWith("text/"))) {
    files.set(`/old${path}`, path.endsWith(".js") ? withoutDispose(file) : file);
  }
  server = await PageServer.start(files);
  browser = await Browser.launch();
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** The page, with an image chosen, when it has done what it does then. */
async function choose(image: ExampleImage, others: readonly string[] = [], path = "/"): Promise<Page> {
  const page = await browser.open(server.url(path));
  expect(browser.complaints()).toEqual([]);
  if (others.length > 0) await page.setInputFiles("#others", others);
  await page.setInputFiles("#image", image.path);
  await settle(page);
  return page;
}

function served(path: string): ServedFile {
  return { type: "application/octet-stream", body: readFileSync(path) };
}

async function settle(page: Page): Promise<void> {
  await page.waitForSelector('[data-state="done"], [data-state="failed"]');
}

const text = (page: Page, id: string): Promise<string> => page.locator(`#${id}`).innerText();
const json = async (page: Page, id: string): Promise<unknown> =>
  JSON.parse((await page.locator(`#${id}`).textContent()) ?? "");

describe.each(["zlib", "zstd", "overlay"] as const)("an image from a file: %s", (which) => {
  it("shows what qemu-img shows, and holds what qemu-img reads", async () => {
    const image = { zlib, zstd, overlay }[which];
    const page = await choose(image, image.backing === undefined ? [] : [image.backing]);
    await page.screenshot({ path: join(results, `page-${which}.png`), fullPage: true });

    expect(browser.complaints()).toEqual([]);
    expect(await text(page, "sha256")).toBe(image.sha256);
    expect(await json(page, "map-json")).toEqual(JSON.parse(qemuImg("map", "--output=json", image.path)));
    const info = JSON.parse(qemuImg("info", "--output=json", image.path)) as Record<string, unknown>;
    expect(await json(page, "info-json")).toMatchObject({
      format: "qcow2",
      "virtual-size": info["virtual-size"],
      "format-specific": info["format-specific"],
    });
    await page.close();
  });
});

describe("an image that names another", () => {
  it("is refused, and says what it wants, unless that was chosen as well", async () => {
    const page = await choose(overlay);
    expect(await page.getAttribute("body", "data-state")).toBe("failed");
    expect(await text(page, "failure-code")).toBe("ERR_IMG_DENIED");
    expect(await text(page, "failure-message")).toContain('"zstd.qcow2"');
    await page.screenshot({ path: join(results, "page-refused.png"), fullPage: true });

    await page.setInputFiles("#others", zlib.path);
    await settle(page);
    expect(await text(page, "failure-code")).toBe("ERR_IMG_DENIED");

    await page.setInputFiles("#others", [zlib.path, zstd.path]);
    await page.waitForSelector('[data-state="done"]');
    expect(await text(page, "sha256")).toBe(overlay.sha256);
    expect(browser.complaints()).toEqual([]);
    await page.close();
  });
});

describe.each(["zlib", "overlay"] as const)("an overlay in the origin's private file system, of: %s", (which) => {
  it("is written without waiting, and accepted by qemu-img", async () => {
    const image = { zlib, overlay }[which];
    const page = await choose(image, image.backing === undefined ? [] : [image.backing]);
    await page.click("#write-overlay");
    await settle(page);
    await page.screenshot({ path: join(results, `page-${which}-written.png`), fullPage: true });
    expect(browser.complaints()).toEqual([]);
    expect(await page.getAttribute("body", "data-state")).toBe("done");

    const saved = join(directory, `${which}-overlay.qcow2`);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#overlay-link")]);
    await download.saveAs(saved);

    const expected = image.contents.slice();
    for (const edit of exampleEdits(expected.length, 65_536)) expected.set(editBytes(edit), edit.offset);
    const raw = join(directory, "expected.raw");
    writeFileSync(raw, expected);
    expect(await text(page, "overlay-sha256")).toBe(createHash("sha256").update(expected).digest("hex"));
    expect(qemuImg("check", "-f", "qcow2", saved)).toContain("No errors were found");
    expect(qemuImg("compare", "-f", "qcow2", "-F", "raw", saved, raw)).toContain("Images are identical");
    await page.close();
  });
});

describe("a browser without the symbols of disposing", () => {
  it("does everything once they are defined as the README says", async () => {
    const page = await choose(zstd, [], "/old/");
    await page.click("#write-overlay");
    await settle(page);
    expect(await text(page, "overlay-check")).toContain("no errors");
    expect(await text(page, "sha256")).toBe(zstd.sha256);
    expect(browser.complaints()).toEqual([]);
    expect(readFileSync(join(import.meta.dirname, "../../README.md"), "utf8")).toContain(disposeSymbols);
    await page.close();
  });
});

describe("an image on a server", () => {
  const read = async (page: Page, url: string): Promise<void> => {
    await page.fill("#remote-url", url);
    await page.click("#remote button");
    await settle(page);
  };

  it("is read without waiting, with what it stands on, by a worker that has another one wait", async () => {
    const page = await browser.open(server.url("/"));
    await read(page, "images/overlay.qcow2");
    await page.screenshot({ path: join(results, "page-server.png"), fullPage: true });
    expect(browser.complaints()).toEqual([]);
    expect(await text(page, "remote-image")).toContain("/images/overlay.qcow2");
    expect(await text(page, "remote-sha256")).toBe(overlay.sha256);
    await page.close();
  });

  it("is refused by name where it isn't there, and where it names another server", async () => {
    const foreign = join(directory, "foreign.qcow2");
    qemuImg("create", "-f", "qcow2", "-u", "-b", "http://example.invalid/base.qcow2", "-F", "qcow2", foreign, "1M");
    files.set("/images/foreign.qcow2", served(foreign));
    const page = await browser.open(server.url("/"));
    await read(page, "images/nothing.qcow2");
    expect(await text(page, "failure-code")).toBe("ENOENT");

    await read(page, "images/foreign.qcow2");
    expect(await text(page, "failure-code")).toBe("ERR_IMG_DENIED");
    expect(await text(page, "failure-message")).toContain("http://example.invalid/base.qcow2");
    await page.close();
  });
});
