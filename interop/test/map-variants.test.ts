import { truncateSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allowAll } from "@img/format-core";
import { map, qemuMapEntry } from "@img/operations";
import { fileOpener, FileStorage } from "@img/storage-fs";
import { formats } from "../src/open-built-image.ts";
import { qemuMap } from "../src/qemu-img.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

/** Images whose map is easily got wrong: how each is created and what is done to it then. */
const images: readonly (readonly [title: string, options: string, commands: readonly string[]])[] = [
  [
    "a zero cluster at offset 0 of a data file",
    "data_file=DIR/data.raw",
    ["write 0 1M", "write -z 0 64k", "write -z 128k 64k"],
  ],
  [
    "a discarded cluster at offset 0 of a data file",
    "data_file=DIR/data.raw",
    ["write 0 1M", "discard 0 64k", "discard 128k 64k"],
  ],
  [
    "a zero subcluster at offset 0 of a data file",
    "data_file=DIR/data.raw,extended_l2=on",
    ["write 0 1M", "write -z 0 2k", "write -z 66k 2k"],
  ],
  [
    "a raw data file with holes",
    "data_file=DIR/data.raw,data_file_raw=on",
    ["write 64k 64k", "write -z 128k 64k", "discard 64k 4k"],
  ],
  ["preallocated metadata", "preallocation=metadata", ["write 64k 64k", "write -z 1M 64k", "discard 2M 64k"]],
  [
    "preallocated metadata of subclusters",
    "preallocation=metadata,extended_l2=on",
    ["write 65k 1k", "write -z 1M 3k", "discard 2M 64k"],
  ],
  ["allocated zeroes", "", ["write 0 1M", "write -z 0 64k", "write -z -u 128k 64k", "write -z 192k 64k"]],
  [
    "compressed clusters among others",
    "",
    ["write -c -P 1 0 256k", "write 64k 64k", "write 1M 64k", "write -c -P 2 2M 64k"],
  ],
  [
    "subclusters of all kinds",
    "extended_l2=on",
    ["write 0 64k", "write -z 2k 2k", "write 70k 2k", "write -z 80k 4k", "discard 8k 2k"],
  ],
];

describe("maps that are easily got wrong", () => {
  let directory: TemporaryDirectory;
  const gate = allowAll({ opener: fileOpener(), formats });

  beforeAll(() => {
    directory = new TemporaryDirectory();
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  async function expectSame(path: string, format: string): Promise<void> {
    await using access = await formats.open(await FileStorage.open(path), { gate, format });
    const entries = [];
    for await (const entry of map(access)) {
      entries.push(qemuMapEntry(entry));
    }
    expect(entries).toEqual(qemuMap(path, format));
  }

  test.each(images)("%s", async (_, options, commands) => {
    const path = directory.file("image.qcow2");
    const all = ["cluster_size=64k", ...(options === "" ? [] : [options.replace("DIR", directory.path)])].join(",");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", all, path, "4M"]);
    runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), path]);
    await expectSame(path, "qcow2");
    // the same as a backing image, below one that covers a part of it
    const overlay = directory.file("overlay.qcow2");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", overlay, "6M"]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write 32k 1k", "-c", "write -z 1M 128k", overlay]);
    await expectSame(overlay, "qcow2");
  });

  test("raw images: holes and odd ends", async () => {
    const path = directory.file("image.raw");
    for (const size of [1, 511, 512, 1_000_001, 3 * 1024 * 1024]) {
      writeFileSync(path, "");
      truncateSync(path, size);
      await expectSame(path, "raw");
    }
    runTool("qemu-io", ["-f", "raw", "-c", "write 64k 4k", "-c", "write -z -u 66k 2k", "-c", "write 2M 100k", path]);
    await expectSame(path, "raw");
  });
});
