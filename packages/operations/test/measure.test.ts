import { execFileSync } from "node:child_process";
import { MemoryStorage } from "@img/format-core";
import { raw } from "@img/raw";
import { describe, expect, it } from "vitest";
import { measure, type MeasureOptions } from "../src/index.ts";
import { fakeImage } from "./support/fake-image.ts";

/** What the real qemu-img says. */
function qemuMeasure(size: number, options: string): unknown {
  const o = options === "" ? [] : ["-o", options];
  const args = ["measure", "--output=json", "-O", "qcow2", ...o, "--size", String(size)];
  return JSON.parse(execFileSync("qemu-img", args, { encoding: "utf8" }));
}

const layouts: readonly (readonly [options: string, MeasureOptions])[] = [
  ["", {}],
  ["cluster_size=512", { clusterSize: 512 }],
  ["cluster_size=512,refcount_bits=64", { clusterSize: 512, refcountBits: 64 }],
  ["cluster_size=2M", { clusterSize: 2 * 1024 * 1024 }],
  ["cluster_size=2M,refcount_bits=1", { clusterSize: 2 * 1024 * 1024, refcountBits: 1 }],
  ["cluster_size=16k,extended_l2=on", { clusterSize: 16384, extendedL2: true }],
  ["extended_l2=on,refcount_bits=8", { extendedL2: true, refcountBits: 8 }],
  ["compat=0.10", { compat: "0.10" }],
  ["preallocation=metadata", { preallocation: "metadata" }],
  ["preallocation=falloc", { preallocation: "falloc" }],
  ["preallocation=full", { preallocation: "full" }],
];
const sizes = [0, 1, 512, 65535, 65536, 65537, 1e6, 2 ** 29 - 1, 2 ** 29, 2 ** 29 + 1, 1e10, 1e11 + 513];

describe("measure", () => {
  it.each(layouts)("gives qemu-img's numbers for qcow2 with options '%s'", async (text, options) => {
    for (const size of sizes) {
      const { required, fullyAllocated } = await measure({ size }, "qcow2", options);
      expect({ size, required, "fully-allocated": fullyAllocated }).toEqual({
        size,
        ...(qemuMeasure(size, text) as object),
      });
    }
  });

  it("rounds raw images up to sectors", async () => {
    expect(await measure({ size: 1000 }, "raw")).toEqual({ required: 1024, fullyAllocated: 1024 });
    const image = await raw.open(new MemoryStorage(new Uint8Array(1000)));
    expect(await measure(image, "raw")).toEqual({ required: 1024, fullyAllocated: 1024 });
  });

  it("counts each cluster with data once, and none without", async () => {
    const image = fakeImage(
      [
        { kind: "data", length: 512, offset: 0 },
        { kind: "zero", length: 512 },
        { kind: "compressed", length: 512 },
        { kind: "none", length: 65536 * 3 },
        { kind: "data", length: 65536, offset: 4096 },
        { kind: "data", length: 512, offset: 0 },
      ],
      { storage: new MemoryStorage() },
    );
    const empty = await measure({ size: image.size }, "qcow2");
    const { required } = await measure(image, "qcow2");
    // clusters 0, 3 and 4
    expect(required - empty.required).toBe(3 * 65536);
  });

  it("counts everything when the new image has a backing image", async () => {
    const image = fakeImage([{ kind: "none", length: 1e6 }], { storage: new MemoryStorage() });
    const { required, fullyAllocated } = await measure(image, "qcow2", { hasBacking: true });
    expect(required).toBe(fullyAllocated);
  });

  it("counts bitmaps only where there can be some", async () => {
    const image = (data: Record<string, never> | object): ReturnType<typeof fakeImage> =>
      fakeImage([{ kind: "none", length: 1024 * 1024 }], {
        storage: new MemoryStorage(),
        description: { specific: { type: "qcow2", data: data as Record<string, never> } },
      });
    const bitmaps = [
      { flags: ["auto"], name: "b0", granularity: 65536 },
      { flags: ["in-use"], name: "broken", granularity: 65536 },
    ];
    expect((await measure(image({ compat: "1.1" }), "qcow2")).bitmaps).toBe(0);
    expect((await measure(image({ compat: "1.1", bitmaps }), "qcow2")).bitmaps).toBe(3 * 65536);
    expect((await measure(image({ compat: "1.1", bitmaps }), "qcow2", { compat: "0.10" })).bitmaps).toBeUndefined();
    expect((await measure(image({ compat: "0.10" }), "qcow2")).bitmaps).toBeUndefined();
    expect((await measure({ size: 5 }, "qcow2")).bitmaps).toBeUndefined();
  });

  it("refuses what can't be", async () => {
    await expect(measure({ size: -1 }, "qcow2")).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { clusterSize: 3000 })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { clusterSize: 256 })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { refcountBits: 3 })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { refcountBits: 128 })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { clusterSize: 8192, extendedL2: true })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "qcow2", { compat: "0.10", refcountBits: 8 })).rejects.toThrow(RangeError);
    await expect(measure({ size: 1 }, "vmdk")).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(measure({ size: 2 ** 50 }, "qcow2", { clusterSize: 512 })).rejects.toMatchObject({
      code: "ERR_IMG_LIMIT",
    });
  });

  it("stops when it is aborted", async () => {
    const image = fakeImage([{ kind: "none", length: 512 }], { storage: new MemoryStorage() });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(measure(image, "qcow2", { signal })).rejects.toThrow("enough");
  });
});
