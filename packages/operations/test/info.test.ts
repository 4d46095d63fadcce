import { isImgError, MemoryStorage, type FormatAccess } from "@img/format-core";
import { raw } from "@img/raw";
import { CountingStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { backingLocation, info, infoChain, qemuInfo } from "../src/index.ts";
import { fakeImage } from "./support/fake-image.ts";

function named(location: string, backing?: { readonly name: string; readonly format?: string }): FormatAccess {
  return fakeImage([{ kind: "zero", length: 512 }], {
    storage: new MemoryStorage(undefined, { location, identity: location }),
    ...(backing === undefined ? {} : { description: { backing } }),
  });
}

describe("info", () => {
  it("describes an image of a format that says nothing about itself", async () => {
    const image = await raw.open(new MemoryStorage(new Uint8Array(1000), { location: "/a/disk.raw" }));
    expect(await info(image)).toMatchObject({ format: "raw", virtualSize: 1000, filename: "/a/disk.raw" });
  });

  it("calls the image what the caller calls it", async () => {
    expect(await info(named("/a"), { filename: "mine" })).toMatchObject({ filename: "mine" });
    expect((await info(await raw.open(new MemoryStorage()))).filename).toBe("memory");
  });

  it("reads no data", async () => {
    const storage = new CountingStorage(new MemoryStorage(new Uint8Array(4096)));
    await info(await raw.open(storage));
    expect(storage.counts.read.calls).toBe(0);
  });
});

describe("qemuInfo", () => {
  it("has qemu-img's keys in qemu-img's order", () => {
    const snapshot = {
      id: "1",
      name: "one",
      vmStateSize: 5,
      dateSeconds: 6,
      dateNanoseconds: 7,
      vmClockSeconds: 8,
      vmClockNanoseconds: 9,
      icount: 10,
    };
    const shown = qemuInfo({
      filename: "dir/a.qcow2",
      format: "qcow2",
      virtualSize: 1024,
      actualSize: 2048,
      clusterSize: 512,
      encrypted: true,
      compressed: true,
      dirty: true,
      backing: { name: "b.raw", format: "raw" },
      snapshots: [snapshot],
      specific: { type: "qcow2", data: { compat: "1.1" } },
    });
    expect(Object.entries(shown)).toEqual([
      ["compressed", true],
      ["backing-filename-format", "raw"],
      ["snapshots", [expect.anything()]],
      ["virtual-size", 1024],
      ["filename", "dir/a.qcow2"],
      ["cluster-size", 512],
      ["format", "qcow2"],
      ["actual-size", 2048],
      ["format-specific", { type: "qcow2", data: { compat: "1.1" } }],
      ["full-backing-filename", "dir/b.raw"],
      ["encrypted", true],
      ["backing-filename", "b.raw"],
      ["dirty-flag", true],
    ]);
    expect(Object.entries(shown.snapshots?.[0] ?? {})).toEqual([
      ["icount", 10],
      ["vm-clock-nsec", 9],
      ["name", "one"],
      ["date-sec", 6],
      ["date-nsec", 7],
      ["vm-clock-sec", 8],
      ["id", "1"],
      ["vm-state-size", 5],
    ]);
  });

  it("leaves out what there is nothing to tell about, and counts sectors", () => {
    expect(qemuInfo({ filename: "a", format: "raw", virtualSize: 1000 })).toEqual({
      "virtual-size": 1024,
      filename: "a",
      format: "raw",
      "dirty-flag": false,
    });
  });
});

describe("backingLocation", () => {
  it.each([
    ["a.qcow2", "b.raw", "b.raw"],
    ["./a.qcow2", "b.raw", "./b.raw"],
    ["dir/a.qcow2", "../b.raw", "dir/../b.raw"],
    ["/dir/a.qcow2", "sub/b.raw", "/dir/sub/b.raw"],
    ["dir/a.qcow2", "/b.raw", "/b.raw"],
    ["dir/a.qcow2", "nbd:host:1", "nbd:host:1"],
    ["dir/a.qcow2", "json:{}", "json:{}"],
    ["dir/a.qcow2", "x/nbd:host", "dir/x/nbd:host"],
    ["json:{}", "b.raw", undefined],
    ["json:{}", "/b.raw", "/b.raw"],
    ["", "b.raw", undefined],
  ])("from %s, %s is %s", (image, backing, expected) => {
    expect(backingLocation(image, backing)).toBe(expected);
  });
});

describe("infoChain", () => {
  it("describes all images, top first, and closes those that it opened", async () => {
    const opened: string[] = [];
    const images = new Map([
      ["dir/b", named("/dir/b", { name: "/c", format: "fake" })],
      ["/c", named("/c")],
    ]);
    const infos = await infoChain(named("/dir/a", { name: "b" }), {
      filename: "dir/a",
      openBacking: async ({ location, format }) => {
        opened.push(`${location} ${String(format)}`);
        return images.get(location)!;
      },
    });
    expect(infos.map(({ filename }) => filename)).toEqual(["dir/a", "dir/b", "/c"]);
    expect(opened).toEqual(["dir/b undefined", "/c fake"]);
    for (const image of images.values()) {
      await expect(image.getMapping(0, 1)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    }
  });

  it("finds loops, and closes what it opened", async () => {
    const opened: FormatAccess[] = [];
    const running = infoChain(named("/a", { name: "b" }), {
      openBacking: async () => {
        const image = named("/a", { name: "b" });
        opened.push(image);
        return image;
      },
    });
    await expect(running).rejects.toSatisfy((error) => isImgError(error, "ERR_IMG_CORRUPT"));
    expect(opened.map((image) => image.io.isClosed)).toEqual([true]);
  });

  it("has a limit", async () => {
    let count = 0;
    const running = infoChain(named("/0", { name: "x" }), {
      depthLimit: 5,
      openBacking: async () => named(`/${++count}`, { name: "x" }),
    });
    await expect(running).rejects.toSatisfy((error) => isImgError(error, "ERR_IMG_LIMIT"));
    expect(count).toBe(5);
  });

  it("passes on why an image can't be opened", async () => {
    const running = infoChain(named("/a", { name: "b" }), {
      openBacking: async () => {
        throw new Error("gone");
      },
    });
    await expect(running).rejects.toThrow("gone");
  });
});
