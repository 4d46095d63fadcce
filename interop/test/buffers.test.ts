import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { formatExport } from "@img/nbd";
import {
  addBitmapSync,
  applySnapshotSync,
  createSnapshotSync,
  deleteSnapshotSync,
  mergeBitmapSync,
} from "@img/operations";
import {
  amendImageFileSync,
  checkImageFileSync,
  commitImageFileSync,
  compareImageFilesSync,
  convertImages,
  convertImagesSync,
  createImageFileSync,
  infoImageFileSync,
  mapImageFileSync,
  measureImageFileSync,
  openImage,
  openImageSync,
  rebaseImageFileSync,
  repairImageFileSync,
  resizeImageFileSync,
  type ImageSpec,
} from "@img/operations/node";
import { BufferMeter } from "../src/buffer-meter.ts";
import { runClient } from "../src/run-client.ts";
import { runTool } from "../src/run-tool.ts";
import { serveNbd } from "../src/serve-nbd.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** What the page promises, in bytes, by operation. */
const promised = new Map(
  [
    ...(readFileSync(new URL("../../docs/memory.md", import.meta.url), "utf8")
      .split("## The whole process")[0]
      ?.matchAll(/^\| (?!Operation)([^|]*[^| ]) +\| ([\d.]+) +\|$/gm) ?? []),
  ].map(([, name = "", bound]) => [name, Number(bound) * MiB]),
);

const seen = new Set<string>();

/** Runs an operation and expects that it asks for as much as the page says at most, and for something. */
async function keepsPromise(name: string, what: string, run: () => unknown): Promise<void> {
  seen.add(name);
  const meter = new BufferMeter();
  try {
    await run();
  } finally {
    meter[Symbol.dispose]();
  }
  const { total, largest } = meter.count;
  console.log(`${name}, ${what}: ${(total / MiB).toFixed(2)} MiB, largest ${String(largest / 1024)} KiB`);
  expect(total).toBeGreaterThan(0);
  expect(total / MiB).toBeLessThanOrEqual((promised.get(name) ?? 0) / MiB);
}

describe.each([64, 128])("buffers for a disk of %d GiB with all its tables", (size) => {
  let directory: TemporaryDirectory;
  const file = (name: string): string => directory.file(name);
  const spec = (name: string): ImageSpec => ({ path: file(name), format: "qcow2", gate: "allow-all" });
  const qemuIo = (name: string, format: string, command: string): void => {
    runTool("qemu-io", ["-f", format, "-c", command, file(name)]);
  };

  beforeAll(() => {
    directory = new TemporaryDirectory();
    const create = (name: string, ...args: readonly string[]): void => {
      runTool("qemu-img", ["create", "-q", "-f", "qcow2", ...args, file(name), `${String(size)}G`]);
    };
    create("full", "-o", "preallocation=metadata");
    qemuIo("full", "qcow2", "write -q -P 5 100M 32M");
    create("over", "-b", file("full"), "-F", "qcow2");
    qemuIo("over", "qcow2", "write -q -P 6 110M 32M");
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  /** A copy to be changed. */
  function copy(from: string, to = "work"): void {
    expect(spawnSync("cp", ["--sparse=always", file(from), file(to)]).status).toBe(0);
  }

  /** Opens the copy, changes it and closes it. */
  function change(run: (image: FormatAccess) => void): void {
    const image = openImageSync({ ...spec("work"), writable: true });
    try {
      run(image);
    } finally {
      runSync(image.io.close());
    }
  }

  const keeps = (name: string, run: () => unknown): Promise<void> => keepsPromise(name, `${String(size)} GiB`, run);

  test("are few where the disk is only looked at", async () => {
    await keeps("`info`", () => infoImageFileSync(spec("full")));
    const map = (name: string): number => [...mapImageFileSync(spec(name))].length;
    await keeps("`map`", () => map("full"));
    await keeps("`map` of an overlay", () => map("over"));
    await keeps("`compare`", () => {
      expect(compareImageFilesSync(spec("full"), spec("full")).identical).toBe(true);
    });
    await keeps("`measure`", () => measureImageFileSync(spec("full"), "qcow2"));
    await keeps("`check`", () => checkImageFileSync(spec("full")));
  });

  test("are few where data are copied", async () => {
    const target = (format: string): { path: string; format: string } => ({ path: file("copied"), format });
    const sources = [spec("full")];
    await keeps("`convert` to raw", () => convertImagesSync({ sources, target: target("raw") }));
    await keeps("`convert` to qcow2", () => convertImagesSync({ sources, target: target("qcow2") }));
    await keeps("`convert` in promises", () => convertImages({ sources, target: target("qcow2"), threads: 1 }));
    await keeps("`convert` an overlay", () => convertImagesSync({ sources: [spec("over")], target: target("raw") }));
  });

  test.each(["zlib", "zstd"])("are few where data are compressed and read again, by %s", async (type) => {
    const sources = [spec("full")];
    const packed = { path: file("packed"), format: "qcow2", createOptions: { compressionType: type } };
    await keeps("`convert -c`", () => convertImagesSync({ sources, target: packed, compressed: true }));
    await keeps("`convert -c` in promises", () =>
      convertImages({ sources, target: packed, compressed: true, threads: 1 }),
    );
    runTool("qemu-img", ["check", "-q", file("packed")]);
    expect(infoImageFileSync(spec("packed")).format).toBe("qcow2");
    const target = { path: file("copied"), format: "raw" };
    const compressed = [spec("packed")];
    await keeps("`convert` of compressed data", () => convertImagesSync({ sources: compressed, target }));
    await keeps("`convert` of compressed data in promises", () =>
      convertImages({ sources: compressed, target, threads: 1 }),
    );
    await keeps("`compare` of compressed data", () => {
      expect(compareImageFilesSync(spec("full"), spec("packed")).identical).toBe(true);
    });
  });

  test("are few where images are made", async () => {
    const image = { path: file("new"), format: "qcow2", size: size * GiB };
    await keeps("`create`", () => createImageFileSync(image));
    await keeps("`create` with all metadata", () =>
      createImageFileSync({ ...image, createOptions: { preallocation: "metadata" } }),
    );
  });

  test("are few where snapshots and bitmaps are made", async () => {
    copy("full");
    const make = (): void => {
      change((image) => createSnapshotSync(image, { name: "s" }));
    };
    await keeps("`snapshot` create", make);
    await keeps("`snapshot` apply", () => {
      change((image) => {
        applySnapshotSync(image, { name: "s" });
      });
    });
    await keeps("`snapshot` delete", () => {
      change((image) => {
        deleteSnapshotSync(image, { name: "s" });
      });
    });
    for (const name of ["one", "two"]) {
      await keeps("`bitmap` add", () => {
        change((image) => {
          addBitmapSync(image, { name });
        });
      });
    }
    await keeps("`bitmap` merge", () => {
      change((image) => {
        mergeBitmapSync(image, "two", { name: "one" });
      });
    });
  });

  test("are few where an image becomes another one", async () => {
    copy("full");
    await keeps("`resize`", () => resizeImageFileSync(spec("work"), { size: (size + 1) * GiB }));
    await keeps("`amend`", () => {
      amendImageFileSync(spec("work"), { compat: "0.10" });
    });
    qemuIo("work", "raw", "write -q -P 0 131072 64k");
    await keeps("`check --repair`", () => repairImageFileSync(spec("work"), { mode: "all" }));
    runTool("qemu-img", ["check", "-q", file("work")]);
    copy("over");
    await keeps("`rebase`", () => rebaseImageFileSync(spec("work"), null));
    copy("over");
    copy("full", "base");
    runTool("qemu-img", ["rebase", "-u", "-b", file("base"), "-F", "qcow2", file("work")]);
    await keeps("`commit`", () => commitImageFileSync(spec("work")));
  });

  test("are few where it is read and written all over", async () => {
    copy("full");
    const buffer = IoVector.from(new Uint8Array(4096));
    await keeps("random reads and writes", () => {
      change((image) => {
        let random = 1;
        for (let count = 0; count < 4000; count++) {
          random = (random * 48_271) % 2_147_483_647;
          const offset = (random % Math.floor(image.size / 4096)) * 4096;
          runSync(count % 2 === 0 ? image.io.read(buffer, offset) : image.io.write(buffer, offset));
        }
      });
    });
  });

  test("are few where 32 places at once are read and written all over", async () => {
    copy("full");
    const image = await openImage({ ...spec("work"), writable: true });
    await keeps("random reads and writes, 32 at once", async () => {
      let random = 1;
      const work = async (buffer: Uint8Array): Promise<void> => {
        for (let count = 0; count < 125; count++) {
          random = (random * 48_271) % 2_147_483_647;
          const offset = (random % Math.floor(image.size / 4096)) * 4096;
          await (count % 2 === 0 ? image.read(buffer, offset) : image.write(buffer, offset));
        }
      };
      await Promise.all(Array.from({ length: 32 }, () => work(new Uint8Array(4096))));
    });
    await image.close();
  });
});

const KiB = 1024;

describe.each([128, 256])("buffers for serving a disk of %d MiB", (size) => {
  let directory: TemporaryDirectory;
  beforeAll(() => {
    directory = new TemporaryDirectory();
    runTool("qemu-img", ["create", "-q", directory.file("data"), `${String(size)}M`]);
    runTool("qemu-io", ["-f", "raw", "-c", `write -q -P 5 0 ${String(size)}M`, directory.file("data")]);
    runTool("qemu-img", ["convert", "-O", "qcow2", directory.file("data"), directory.file("served")]);
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  test.each([
    ["NBD, one client, requests of up to 256 KiB", 1, 4 * KiB],
    ["NBD, one client, requests of up to 256 KiB", 1, 64 * KiB],
    ["NBD, one client, requests of up to 256 KiB", 1, 256 * KiB],
    ["NBD, four clients, requests of up to 256 KiB", 4, 4 * KiB],
    ["NBD, four clients, requests of up to 256 KiB", 4, 64 * KiB],
    ["NBD, four clients, requests of up to 256 KiB", 4, 256 * KiB],
  ])("are few: %s (%d connections, %d bytes)", async (name, connections, length) => {
    for (const isRead of [true, false]) {
      const image = await openImage({ path: directory.file("served"), format: "qcow2", writable: true });
      await using served = await serveNbd(new Map([["", formatExport(image)]]), directory.file("socket"));
      const ends = isRead ? [served.uri(), "null:"] : [directory.file("data"), served.uri()];
      const args = [`--connections=${String(connections)}`, `--request-size=${String(length)}`, ...ends];
      await keepsPromise(name, `${String(size)} MiB ${isRead ? "read" : "written"}`, () =>
        runClient("nbdcopy", ...args),
      );
      await image.close();
    }
  });
});

test("all that the page promises was counted", () => {
  expect([...promised.keys()].sort()).toEqual([...seen].sort());
});
