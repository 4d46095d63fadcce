import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allowAll, denyAll, ImgError } from "@img/format-core";
import { info, qemuInfo } from "@img/operations";
import { qcow2 } from "@img/qcow2";
import { fileOpener, FileStorage } from "@img/storage-fs";
import { expectBytes } from "../src/expect-bytes.ts";
import { diskContents } from "../src/guest-contents.ts";
import { formats } from "../src/open-built-image.ts";
import { qemuContents, qemuInfo as toolsInfo } from "../src/qemu-img.ts";
import { randomFor } from "../src/run-seed.ts";
import { readWholeAsync, readWholeSync } from "../src/read-everything.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const MiB = 1024 * 1024;
const size = 4 * MiB;

/** Images that other readers are known to get wrong without saying so. */
const readable: readonly (readonly [title: string, make: (path: string, source: string) => void])[] = [
  ["zlib-compressed clusters", (path, source) => convert(path, source, "cluster_size=64k", "-c")],
  ["zstd-compressed clusters", (path, source) => convert(path, source, "compression_type=zstd", "-c")],
  ["zlib-compressed clusters of 2 MiB", (path, source) => convert(path, source, "cluster_size=2M", "-c")],
  ["zlib-compressed clusters of 512 bytes", (path, source) => convert(path, source, "cluster_size=512", "-c")],
  ["zlib-compressed clusters of version 2", (path, source) => convert(path, source, "compat=0.10", "-c")],
  [
    "zero flags on preallocated clusters",
    (path) => {
      create(path, "preallocation=metadata");
      io(path, "write -P 1 0 4M", "write -z 64k 1M", "write -z 2M 100k");
    },
  ],
  [
    "an external data file",
    (path, source) => {
      convert(path, source, `data_file=${path}.data`);
    },
  ],
  [
    "an external raw data file",
    (path, source) => {
      convert(path, source, `data_file=${path}.data,data_file_raw=on`);
    },
  ],
  [
    "a backing image",
    (path, source) => {
      runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", source, "-F", "raw", path]);
      io(path, "write -P 9 100k 300k", "write -z 1M 1M", "discard 3M 512k");
    },
  ],
  [
    "subclusters of which a part is allocated",
    (path, source) => {
      runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "-b", source, "-F", "raw", path]);
      io(path, "write -P 9 3000 100", "write -P 8 70k 5k", "write -z 200k 6k", "write -z -u 300k 70k", "discard 1M 2k");
    },
  ],
  [
    "subclusters and compressed clusters",
    (path, source) => {
      convert(path, source, "extended_l2=on,compression_type=zstd", "-c");
      io(path, "write -P 9 3000 100", "write -P 8 70k 5k", "write -z 200k 6k");
    },
  ],
  [
    "a snapshot whose clusters were overwritten",
    (path, source) => {
      convert(path, source, "cluster_size=4k");
      runTool("qemu-img", ["snapshot", "-c", "before", path]);
      io(path, "write -P 9 100k 300k", "discard 1M 1M");
    },
  ],
  [
    "one-bit refcounts",
    (path, source) => {
      convert(path, source, "refcount_bits=1,cluster_size=512");
    },
  ],
];

function convert(path: string, source: string, options: string, ...more: readonly string[]): void {
  runTool("qemu-img", ["convert", ...more, "-f", "raw", "-O", "qcow2", "-o", options, source, path]);
}

function create(path: string, options: string, ...more: readonly string[]): void {
  const args = ["create", "-q", ...more, "-f", "qcow2", "-o", options, path, String(size)];
  for (let attempt = 1; ; attempt++) {
    const { exitCode, stderr } = runTool("qemu-img", args, { mayFail: true });
    if (exitCode === 0) {
      return;
    }
    // to choose a number of iterations the tool takes times, and gives up when the machine is too fast or too busy for that
    if (attempt === 10 || !stderr.includes("Unable to get accurate CPU usage")) {
      throw new Error(`qemu-img ${args.join(" ")}: ${stderr}`);
    }
  }
}

function io(path: string, ...commands: readonly string[]): void {
  runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), path]);
}

describe("images that other readers return wrong, or can't read", () => {
  let directory: TemporaryDirectory;
  let source = "";
  const gate = allowAll({ opener: fileOpener(), formats });

  beforeAll(() => {
    directory = new TemporaryDirectory();
    source = directory.file("source.raw");
    writeFileSync(source, diskContents(size, randomFor("foreign failures")));
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  test.each(readable)("%s: every byte is right", async (title, make) => {
    const path = directory.file(`${title.replaceAll(" ", "-")}.qcow2`);
    make(path, source);
    const contents = qemuContents(path, directory.file("oracle.raw"));
    await using access = await qcow2.open(await FileStorage.open(path), { gate });
    expectBytes(await readWholeAsync(access, 123_456), contents, title);
    expectBytes(readWholeSync(access, 65536), contents, title);
  });

  const secret = ["--object", "secret,id=key,data=open sesame"];
  const encrypted: readonly (readonly [title: string, feature: string, options: string])[] = [
    ["LUKS", "LUKS", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"],
    ["legacy AES", "AES", "encrypt.format=aes,encrypt.key-secret=key"],
  ];

  test.each(encrypted)(
    "%s: described as the tool does, and refused by name before a byte is read",
    async (_, name, options) => {
      const path = directory.file(`${name}.qcow2`);
      create(path, options, ...secret);
      runTool("qemu-io", [
        ...secret,
        "--image-opts",
        "-c",
        "write -P 9 0 1M",
        `driver=qcow2,encrypt.key-secret=key,file.filename=${path}`,
      ]);
      await using image = await qcow2.open(await FileStorage.open(path), { inspect: true });
      const ours: unknown = JSON.parse(JSON.stringify(qemuInfo(await info(image, { filename: path }))));
      expect(ours).toEqual(toolsInfo(path, "qcow2"));
      await expect(image.read(new Uint8Array(512), 0)).rejects.toBeInstanceOf(ImgError);

      const opening = qcow2.open(await FileStorage.open(path), { gate });
      await expect(opening).rejects.toMatchObject({
        code: "ERR_IMG_UNSUPPORTED",
        feature: "encryption",
        message: expect.stringContaining(name) as string,
      });
    },
  );

  test("an encrypted backing image is refused, not read as what it looks like", async () => {
    const below = directory.file("LUKS-below.qcow2");
    create(below, encrypted[0]![2], ...secret);
    const path = directory.file("over-luks.qcow2");
    runTool("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", below, "-F", "qcow2", path, String(size)]);
    const opening = qcow2.open(await FileStorage.open(path), { gate });
    await expect(opening).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "encryption" });
  });

  test.each(["an external data file", "a backing image"])(
    "%s that isn't granted is not taken for zeroes",
    async (title) => {
      const path = directory.file(`${title.replaceAll(" ", "-")}.qcow2`);
      for (const options of [{}, { gate: denyAll }]) {
        const opening = qcow2.open(await FileStorage.open(path), options);
        await expect(opening).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
      }
    },
  );

  test("an external data file that is missing is not taken for zeroes, nor for the image itself", async () => {
    const path = directory.file("an-external-data-file.qcow2");
    const opening = qcow2.open(await FileStorage.open(path), { gate, dataFile: null });
    await expect(opening).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });
});
