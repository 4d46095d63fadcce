import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Browser } from "../src/host/browser.ts";
import { compressedExample, overlayExample, type ExampleImage } from "../src/host/example-images.ts";
import { pageFiles } from "../src/host/page-files.ts";
import { PageServer } from "../src/host/page-server.ts";
import { qemuImg } from "../src/host/qemu-img.ts";
import { editBytes } from "../src/shared/edit.ts";
import { exampleEdits } from "../src/shared/example-edits.ts";

const results = join(import.meta.dirname, "..", "test-results");
const directory = mkdtempSync(join(tmpdir(), "img-page-"));
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
  server = await PageServer.start(await pageFiles());
  browser = await Browser.launch();
});

afterAll(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** The page, with an image chosen, when it has done what it does then. */
async function choose(image: ExampleImage, others: readonly string[] = []): Promise<Page> {
  const page = await browser.open(server.url("/"));
  expect(browser.complaints()).toEqual([]);
  if (others.length > 0) await page.setInputFiles("#others", others);
  await page.setInputFiles("#image", image.path);
  await settle(page);
  return page;
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
    await page.waitForSelector('[data-state="busy"]', { state: "detached" });
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
