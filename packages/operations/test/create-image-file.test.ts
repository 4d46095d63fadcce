import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImgError } from "@img/format-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkImageFile, createImageFile, openImage } from "../src/node.ts";
import { qemuCheck, qemuCheckLine } from "../src/index.ts";

let directory: string;
const file = (name: string): string => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-create-file-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function failure(run: Promise<unknown>): Promise<ImgError> {
  const error: unknown = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ImgError);
  return error as ImgError;
}

describe("createImageFile", () => {
  test("takes the size of the backing image, which it opens but doesn't keep", async () => {
    await createImageFile({ path: file("base.qcow2"), format: "qcow2", size: 3_145_728 });
    const sizes: number[] = [];
    const size = await createImageFile(
      { path: file("over.qcow2"), format: "qcow2", backingFile: { name: "base.qcow2", format: "qcow2" } },
      { onSize: (each) => void sizes.push(each) },
    );
    expect([size, ...sizes]).toEqual([3_145_728, 3_145_728]);
    const image = await openImage({ path: file("over.qcow2"), gate: { within: directory } });
    expect(image.size).toBe(3_145_728);
    expect(image.driver.describe?.().backing).toEqual({ name: "base.qcow2", format: "qcow2" });
    await image.close();
  });

  test("doesn't look at a backing image unless it has to", async () => {
    const backingFile = { name: "gone.qcow2", format: "qcow2", open: false };
    await createImageFile({ path: file("over.qcow2"), format: "qcow2", size: 65_536, backingFile });
    const missing = failure(createImageFile({ path: file("other.qcow2"), format: "qcow2", backingFile }));
    expect((await missing).message).toContain("size");
    const needed = createImageFile({
      path: file("other.qcow2"),
      format: "qcow2",
      size: 65_536,
      backingFile,
      createOptions: { extendedL2: true, preallocation: "metadata" },
    });
    expect((await failure(needed)).code).toBe("ENOENT");
    expect(readdirSync(directory)).toEqual(["over.qcow2"]);
  });

  test("leaves everything as it was when it fails", async () => {
    writeFileSync(file("target.qcow2"), "precious");
    writeFileSync(file("data.raw"), "precious, too");
    const attempts = [
      { size: 65_536, createOptions: { clusterSize: 1000 } },
      { size: 2 ** 50, createOptions: { clusterSize: 512 } },
      { size: 65_536, createOptions: { compat: "0.10" }, dataFile: file("data.raw") },
      { size: 65_536, dataFile: file("target.qcow2") },
      { size: 65_536, backingFile: { name: "target.qcow2", format: "raw" } },
      { size: 65_536, backingFile: { name: "json:{}", format: "raw" } },
    ];
    for (const attempt of attempts) {
      await failure(createImageFile({ path: file("target.qcow2"), format: "qcow2", ...attempt }));
    }
    expect(readdirSync(directory).sort()).toEqual(["data.raw", "target.qcow2"]);
    expect(readFileSync(file("target.qcow2"), "utf8")).toBe("precious");
    expect(readFileSync(file("data.raw"), "utf8")).toBe("precious, too");
  });

  test.each(["qcow2", "raw"])("stops at a signal, and leaves nothing: %s", async (format) => {
    const controller = new AbortController();
    const size = 4 * 1024 ** 3;
    const created = createImageFile(
      { path: file("large"), format, size, createOptions: { preallocation: "full" } },
      { signal: controller.signal },
    );
    const reason = new Error("enough");
    setTimeout(() => {
      controller.abort(reason);
    }, 100);
    await expect(created).rejects.toBe(reason);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("makes the external data file, and names it", async () => {
    const dataFile = file("data.raw");
    writeFileSync(dataFile, new Uint8Array(100_000).fill(1));
    await createImageFile({ path: file("a.qcow2"), format: "qcow2", size: 65_536, dataFile });
    expect(readFileSync(dataFile).equals(new Uint8Array(65_536))).toBe(true);
    const image = await openImage({ path: file("a.qcow2"), inspect: true });
    expect(image.driver.describe?.().dataFile).toEqual({ name: dataFile, format: "raw" });
    await image.close();
  });
});

describe("checkImageFile", () => {
  test("finds the format, and says what it found in qemu-img's shape", async () => {
    await createImageFile({ path: file("a.qcow2"), format: "qcow2", size: 1_048_576 });
    const bytes = readFileSync(file("a.qcow2"));
    bytes.writeUInt16BE(1, 0x20000 + 6);
    bytes.writeUInt16BE(0, 0x20000);
    bytes.writeUInt16BE(5, 0x20000 + 8);
    writeFileSync(file("a.qcow2"), Buffer.concat([bytes, Buffer.alloc(65_536)]));
    const result = await checkImageFile({ path: file("a.qcow2") });
    expect(qemuCheck(result, { filename: "a.qcow2", format: result.format })).toEqual({
      "image-end-offset": 327_680,
      "total-clusters": 16,
      corruptions: 1,
      "check-errors": 0,
      leaks: 1,
      filename: "a.qcow2",
      format: "qcow2",
    });
    expect(result.findings.map(qemuCheckLine)).toEqual([
      "ERROR cluster 0 refcount=0 reference=1",
      "Leaked cluster 4 refcount=5 reference=0",
    ]);
  });

  test("refuses by name what has nothing to check, and what isn't what it is said to be", async () => {
    await createImageFile({ path: file("a.raw"), format: "raw", size: 4096 });
    expect(await failure(checkImageFile({ path: file("a.raw") }))).toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      feature: "check",
    });
    expect((await failure(checkImageFile({ path: file("a.raw"), format: "qcow2" }))).code).toBe(
      "ERR_IMG_UNKNOWN_FORMAT",
    );
    expect((await failure(checkImageFile({ path: file("none") }))).code).toBe("ENOENT");
  });
});
