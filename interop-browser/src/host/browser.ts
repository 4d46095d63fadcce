import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";

/** Where Debian has it. */
const executablePath = "/usr/bin/chromium";

/** What keeps a browser that only runs tests from doing anything else. */
const args = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A headless Chromium with a profile of its own, which is removed with it. */
export class Browser implements AsyncDisposable {
  readonly #profile: string;
  readonly #context: BrowserContext;
  readonly #complaints: string[] = [];

  private constructor(profile: string, context: BrowserContext) {
    this.#profile = profile;
    this.#context = context;
  }

  /** Starts one. @param extra - more command line arguments */
  static async launch(extra: readonly string[] = []): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "img-browser-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      chromiumSandbox: false,
      args: [...args, ...extra],
      acceptDownloads: true,
      viewport: { width: 1120, height: 900 },
    });
    context.setDefaultTimeout(45_000);
    return new Browser(profile, context);
  }

  /** What pages and their workers complained about since the last call: errors that nobody caught, and messages of that level. */
  complaints(): readonly string[] {
    return this.#complaints.splice(0);
  }

  /** Opens a page. */
  async open(url: string): Promise<Page> {
    const page = await this.#context.newPage();
    page.on("pageerror", (error) => this.#complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.#complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
