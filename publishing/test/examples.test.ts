import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { root } from "../src/root.ts";
import { Stranger } from "./support/stranger.ts";

const names = readdirSync(join(root, "examples")).filter((name) =>
  existsSync(join(root, "examples", name, "package.json")),
);

/** Somebody with the examples and the command line, who never saw this workspace. */
let stranger: Stranger;

beforeAll(async () => {
  stranger = new Stranger(inject("registry"));
  for (const name of names) {
    stranger.bring(join(root, "examples", name), name);
  }
  const manifest = { private: true, workspaces: names, dependencies: { "@img/cli": "*" } };
  stranger.write("package.json", JSON.stringify(manifest));
  await stranger.run("npm", "install", "--omit=optional", "--ignore-scripts");
});
afterAll(() => {
  stranger[Symbol.dispose]();
});

/** How many cases a run of `node --test` says have passed; none may have failed or been left out. */
function passed(output: string): number {
  expect(output).toMatch(/^(?:#|ℹ) fail 0$/m);
  expect(output).toMatch(/^(?:#|ℹ) skipped 0$/m);
  return Number(/^(?:#|ℹ) pass (\d+)$/m.exec(output)?.[1]);
}

describe("the examples", () => {
  test("are no part of the workspace, and take our packages from a registry", () => {
    expect(names.length).toBe(4);
    expect(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")).not.toContain("examples");
    expect(existsSync(stranger.file("node_modules/@img/format-core/dist/index.js"))).toBe(true);
    expect(names.filter((name) => existsSync(stranger.file(`${name}/node_modules/@img`)))).toEqual([]);
  });

  test("are well typed against our declarations", async () => {
    // all at once, which takes a quarter of the time; their settings are the same
    const settings = names.map((name) => readFileSync(stranger.file(`${name}/tsconfig.json`), "utf8"));
    expect(new Set(settings).size).toBe(1);
    const include = names.flatMap((name) => [`${name}/src`, `${name}/test`]);
    stranger.write("tsconfig.json", JSON.stringify({ extends: `./${names[0] ?? ""}/tsconfig.json`, include }));
    const { stdout } = await stranger.run("node", "node_modules/typescript/bin/tsc", "--listFiles");
    for (const name of names) {
      expect(stdout).toContain(`${name}/src/index.js`);
    }
  });

  test.each(names)("%s passes its suite, and tests of its own", async (name) => {
    const { stdout } = await stranger.run("npm", "test", "--silent", "--workspace", name);
    expect(passed(stdout)).toBeGreaterThan(50);
  });
});

// Word for word: what the guide calls a file is saved, and what is to be typed is typed.
describe("the guides lead from an empty folder to a suite that passes", () => {
  test.each([
    ["writing-a-storage", 50],
    ["writing-a-format", 500],
  ])("docs/%s.md", async (document, least) => {
    using newcomer = new Stranger(inject("registry"));
    rmSync(newcomer.file("package.json"));
    const text = readFileSync(join(root, "docs", `${document}.md`), "utf8");
    const way = /^## From an empty folder\n([^]*?)^## /m.exec(text)?.[1] ?? "";
    let output = "";
    for (const [, name, language, block = ""] of way.matchAll(/^(?:`([\w.-]+)`:\n\n)?```(\w+)\n([^]*?)^```$/gm)) {
      if (name !== undefined) {
        newcomer.write(name, block);
        continue;
      }
      expect(language).toBe("sh");
      for (const line of block.trim().split("\n")) {
        const [program = "", ...args] = line.split(" ");
        output += (await newcomer.run(program, ...args)).stdout;
      }
    }
    expect(passed(output)).toBeGreaterThan(least);
    expect(existsSync(newcomer.file("tsconfig.json"))).toBe(true);
    if (document === "writing-a-format") {
      const plugin = ["--plugin", newcomer.file("stamped.js")];
      const sample = join(root, "samples/sample.qcow2");
      expect(await img("convert", ...plugin, "-O", "stamped", sample, "sample.stamped")).toBe("");
      expect(await img("compare", ...plugin, sample, "sample.stamped")).toBe("Images are identical.\n");
    }
  });
});

/** What `img` prints, to the output and about errors. */
async function img(...args: string[]): Promise<string> {
  const { stdout, stderr } = await stranger.try("node_modules/.bin/img", ...args);
  return stdout + stderr;
}

/** Runs a module of the stranger's. */
function module(text: string): Promise<unknown> {
  return stranger.run("node", "--input-type=module", "--eval", text);
}

describe("img --plugin", () => {
  const size = 2 * 1024 * 1024;
  const disk = Buffer.alloc(size).fill("what the guest wrote ", 300_000, 900_000);
  const contents = (name: string): Buffer => readFileSync(stranger.file(name));
  const identical = "Images are identical.\n";

  beforeAll(() => {
    writeFileSync(stranger.file("disk.raw"), disk);
  });

  test("creates images of a foreign format, converts to and from them, and compares them", async () => {
    const plugin = ["--plugin", "./block-map-format"];
    expect(await img("create", ...plugin, "-f", "blockmap", "new.blockmap", "10M")).toBe(
      "Formatting 'new.blockmap', fmt=blockmap size=10485760\n",
    );
    expect(await img(...plugin, "convert", "-O", "blockmap", "disk.raw", "disk.blockmap")).toBe("");
    expect(contents("disk.blockmap").length).toBeLessThan(800_000);
    // before and behind the verb, as a path, a package and a URL; the format by its name and by what the image holds
    const url = pathToFileURL(stranger.file("block-map-format")).href;
    expect(await img("info", "disk.blockmap", "--plugin", url)).toContain("file format: blockmap\nvirtual size: 2 MiB");
    expect(await img("--plugin=block-map-format", "compare", "-f", "blockmap", "disk.blockmap", "disk.raw")).toBe(
      identical,
    );
    expect(await img("convert", ...plugin, "-O", "raw", "disk.blockmap", "back.raw")).toBe("");
    expect(contents("back.raw").equals(disk)).toBe(true);
    expect(await img("info", "disk.blockmap")).toContain("file format: raw");
    expect(await img("map", ...plugin, "--output=json", "disk.blockmap")).toContain('"zero": true');
    expect(await img("check", ...plugin, "-f", "blockmap", "disk.blockmap")).toBe(
      "img: This image format does not support checks\n",
    );
  });

  test("opens foreign formats below qcow2 images, unless nothing may be opened", async () => {
    const plugin = ["--plugin", "block-map-format", "--plugin", "deflated-blocks-format"];
    await img("convert", ...plugin, "-O", "blockmap", "disk.raw", "base.blockmap");
    const over = ["-q", "-f", "qcow2", "-b"];
    expect(await img("create", ...plugin, ...over, "base.blockmap", "-F", "blockmap", "top.qcow2")).toBe("");
    expect(await img("compare", ...plugin, "top.qcow2", "disk.raw")).toBe(identical);
    expect(await img("compare", "top.qcow2", "disk.raw")).toContain("blockmap");
    expect(await img("compare", ...plugin, "--isolated", "top.qcow2", "disk.raw")).toContain("[ERR_IMG_DENIED]");

    await module(`
      import { packDisk } from "deflated-blocks-format";
      import { readFileSync, writeFileSync } from "node:fs";
      writeFileSync("disk.zblocks", await packDisk(readFileSync("disk.raw")));
    `);
    expect(await img("create", ...plugin, ...over, "disk.zblocks", "-F", "zblocks", "above.qcow2")).toBe("");
    expect(await img("convert", ...plugin, "above.qcow2", "above.raw")).toBe("");
    expect(contents("above.raw").equals(disk)).toBe(true);
    expect(await img("info", ...plugin, "--backing-chain", "above.qcow2")).toMatch(/qcow2\n[^]*file format: zblocks/);
    expect(await img("convert", ...plugin, "-O", "zblocks", "disk.raw", "no.zblocks")).toContain("can't be created");
    expect(existsSync(stranger.file("no.zblocks"))).toBe(false);
  });

  test("reads images on a web server, alone and below others", async () => {
    const support = pathToFileURL(stranger.file("http-range-storage/test/nginx.js")).href;
    const { startNginx } = (await import(/* @vite-ignore */ support)) as {
      startNginx: () => Promise<{ url: string; root: string; stop: () => Promise<void> }>;
    };
    const server = await startNginx();
    try {
      const plugin = ["--plugin", "http-range-storage"];
      const over = ["-q", "-f", "qcow2", "-F", "qcow2", "-b"];
      expect(await img("convert", "-O", "qcow2", "disk.raw", join(server.root, "base.qcow2"))).toBe("");
      const url = `${server.url}base.qcow2`;
      const described = `image: ${url}\nfile format: qcow2\nvirtual size: 2 MiB`;
      expect(await img(...plugin, "info", url)).toContain(described);
      expect(await img("info", url)).toContain("the protocol 'http' isn't supported");
      expect(await img("check", ...plugin, url)).toContain("No errors were found");

      expect(await img("create", ...plugin, ...over, url, "over.qcow2")).toBe("");
      expect(await img("compare", ...plugin, "over.qcow2", "disk.raw")).toBe(identical);
      expect(await img("compare", "over.qcow2", "disk.raw")).toContain("over.qcow2");
      // a relative name leads to the same server
      const top = join(server.root, "top.qcow2");
      expect(await img("create", ...over, "base.qcow2", top)).toBe("");
      expect(await img("convert", ...plugin, `${server.url}top.qcow2`, "top.raw")).toBe("");
      expect(contents("top.raw").equals(disk)).toBe(true);
      expect(await img("info", ...plugin, "--backing-chain", `${server.url}top.qcow2`)).toContain(described);

      const missing = `${server.url}missing`;
      expect(await img("info", ...plugin, missing)).toBe(
        `img: Could not open '${missing}': ${missing}: the server answers with 404\n`,
      );
      expect(await img("resize", ...plugin, "-f", "qcow2", url, "4M")).toContain("can only be read");
      expect(await img("convert", ...plugin, "disk.raw", `${server.url}new`)).toContain("can only be read");
    } finally {
      await server.stop();
    }
  });

  test("writes into images in an object store", async () => {
    const plugin = ["--plugin", "chunked-object-storage"];
    await module(`
      import { qcow2 } from "@img/qcow2";
      import { ChunkedObjectStorage, DirectoryStore } from "chunked-object-storage";
      const storage = await ChunkedObjectStorage.create(new DirectoryStore("bucket"));
      await (await qcow2.create(storage, { size: ${size} })).close();
    `);
    expect(await img("convert", ...plugin, "-n", "-O", "qcow2", "disk.raw", "chunks:bucket")).toBe("");
    expect(await img("compare", ...plugin, "chunks:bucket", "disk.raw")).toBe(identical);
    expect(await img("resize", ...plugin, "-f", "qcow2", "chunks:bucket", "+1M")).toBe("Image resized.\n");
    expect(await img("info", ...plugin, "chunks:bucket")).toContain("virtual size: 3 MiB");
    mkdirSync(stranger.file("elsewhere"));
    const location = `chunks:${stranger.file("bucket")}`;
    const over = ["-q", "-f", "qcow2", "-F", "qcow2", "-b", location, "elsewhere/over.qcow2"];
    expect(await img("create", ...plugin, ...over)).toBe("");
    expect(await img("convert", ...plugin, "elsewhere/over.qcow2", "over.raw")).toBe("");
    expect(contents("over.raw").subarray(0, size).equals(disk)).toBe(true);
  });

  test("says what is wrong with a plug-in", async () => {
    const cases = [
      ["./missing.mjs", undefined, "no such module"],
      ["no-such-package", undefined, "no such module"],
      ["./empty.mjs", "export const other = 1;", "exports neither formats nor storages"],
      ["./broken.mjs", "throw new Error('out of order');", "can't be loaded: out of order"],
      ["./wrong.mjs", "export const formats = [{ name: 'x' }];", "formats: expected an array of formats"],
      [
        "./taken.mjs",
        "import { blockMap } from 'block-map-format'; export default { formats: [{ ...blockMap, name: 'raw' }] };",
        "there is a format 'raw' already",
      ],
      [
        "./file.mjs",
        "import { storages } from 'http-range-storage'; export default { storages: { file: storages.http } };",
        "there is a protocol 'file' already",
      ],
    ] as const;
    for (const [plugin, text, message] of cases) {
      if (text !== undefined) {
        stranger.write(plugin, text);
      }
      const { code, stderr } = await stranger.try("node_modules/.bin/img", "--plugin", plugin, "info", "disk.raw");
      expect(code).toBe(1);
      expect(stderr).toContain(`img: --plugin ${plugin}: ${message}`);
    }
    expect(await img("--plugin")).toContain("missing argument for option '--plugin'");
    expect(await img("help")).toContain("--plugin");
  });
});
