import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
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
  openImageSync,
  rebaseImageFileSync,
  repairImageFileSync,
  resizeImageFileSync,
  type ImageSpec,
} from "@img/operations/node";
import { BufferMeter } from "../src/buffer-meter.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** What the page promises, in bytes, by operation. */
const promised = new Map(
  [
    ...readFileSync(new URL("../../docs/memory.md", import.meta.url), "utf8").matchAll(
      /^\| (?!Operation)([^|]*[^| ]) +\| ([\d.]+) +\|$/gm,
    ),
  ].map(([, name = "", bound]) => [name, Number(bound) * MiB]),
);

const seen = new Set<string>();

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

  /** Runs an operation and expects that it asks for as much as the page says at most, and for something. */
  async function keeps(name: string, run: () => unknown): Promise<void> {
    seen.add(name);
    const meter = new BufferMeter();
    try {
      await run();
    } finally {
      meter[Symbol.dispose]();
    }
    const { total, largest } = meter.count;
    console.log(`${name}, ${String(size)} GiB: ${(total / MiB).toFixed(2)} MiB, largest ${String(largest / 1024)} KiB`);
    expect(total).toBeGreaterThan(0);
    expect(total / MiB).toBeLessThanOrEqual((promised.get(name) ?? 0) / MiB);
  }

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
});

test("all that the page promises was counted", () => {
  expect([...promised.keys()].sort()).toEqual([...seen].sort());
});
