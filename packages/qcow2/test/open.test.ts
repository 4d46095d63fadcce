import { FormatRegistry, MemoryStorage, OpenChain, type FormatAccess, type Storage } from "@img/format-core";
import { assertBytes, CountingStorage, FaultStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { extensionTypes, qcow2, type Qcow2Image, type Qcow2OpenOptions } from "../src/index.ts";
import { hasProtocol, locateBacking } from "../src/open/locate-reference.ts";
import { expectImgError } from "./support/expect-error.ts";
import { text } from "./support/extension-bytes.ts";
import { FakeGate } from "./support/fake-gate.ts";
import { headerBytes } from "./support/header-fields.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { readDisk } from "./support/open-built.ts";
import { bothWorlds } from "./support/worlds.ts";

const size = 64 * 512;
const some = new SeededRandom(1).bytes(512);

/** An image that names another one below it. */
function overlay(name: string | Uint8Array, format?: string): ImageBuilder {
  const image = new ImageBuilder({ size });
  image.backingName = name;
  if (format !== undefined) {
    image.extensions = [{ type: extensionTypes.backingFormat, data: text(format) }];
  }
  return image;
}

function withDataFile(name?: string): ImageBuilder {
  const image = new ImageBuilder({ size, externalDataFile: true });
  image.data(0, some);
  image.data(5 * 512, some);
  if (name !== undefined) {
    image.extensions = [{ type: extensionTypes.dataFile, data: text(name) }];
  }
  return image;
}

describe("the probe", () => {
  it("knows qcow2 images of version 2 and later by their first 8 bytes", () => {
    expect(qcow2.probeLength).toBe(8);
    expect(qcow2.name).toBe("qcow2");
    expect(qcow2.extensions).toEqual([".qcow2"]);
    for (const version of [2, 3, 4, 0xffff_ffff]) {
      expect(qcow2.probe(headerBytes({ version }).subarray(0, 8))).toBe(100);
    }
    for (const version of [0, 1]) {
      expect(qcow2.probe(headerBytes({ version }))).toBe(0);
    }
    expect(qcow2.probe(headerBytes({ magic: 0x514649fa }))).toBe(0);
    for (let length = 0; length < 8; length++) {
      expect(qcow2.probe(headerBytes().subarray(0, length))).toBe(0);
    }
    const within = new Uint8Array(100);
    within.set(headerBytes().subarray(0, 8), 50);
    expect(qcow2.probe(within.subarray(50, 58))).toBe(100);
  });
});

describe("names of backing images", () => {
  const directory = new MemoryStorage(undefined, { location: "/images/top.qcow2" });

  it("are relative to the image that has them, unless they are absolute", () => {
    expect(locateBacking(directory, "base.qcow2")).toBe("/images/base.qcow2");
    expect(locateBacking(directory, "../base.qcow2")).toBe("/base.qcow2");
    expect(locateBacking(directory, "/tmp/base.qcow2")).toBe("/tmp/base.qcow2");
    expect(locateBacking(directory, "./sub/a:b")).toBe("/images/sub/a:b");
  });

  it("may have file: before a plain name", () => {
    expect(locateBacking(directory, "file:base.qcow2")).toBe("/images/base.qcow2");
    expect(locateBacking(directory, "file:/tmp/base.qcow2")).toBe("/tmp/base.qcow2");
  });

  it("with a protocol stay as they are", () => {
    for (const name of ["nbd://host/export", 'json:{"driver":"raw"}', "http://x/y", ":colon", "file:nbd:x"]) {
      expect(locateBacking(directory, name)).toBe(name);
    }
    expect(hasProtocol("a:b")).toBe(true);
    expect(hasProtocol("/a:b")).toBe(false);
    expect(hasProtocol("./a:b")).toBe(false);
    expect(hasProtocol("plain")).toBe(false);
  });

  it("stay as they are where nothing can resolve them", () => {
    expect(locateBacking(new MemoryStorage(), "base.qcow2")).toBe("base.qcow2");
    expect(locateBacking(new MemoryStorage(), "file:base.qcow2")).toBe("base.qcow2");
  });
});

describe.each(bothWorlds)("opening ($name)", (world) => {
  async function openTop(
    gate: FakeGate,
    options: Qcow2OpenOptions = {},
    location = "/images/top.qcow2",
  ): Promise<FormatAccess<Qcow2Image>> {
    const storage = gate.open(location);
    return world.run(qcow2.openIo(storage, options));
  }

  /** A gate with one image at the top. */
  function gateWith(top: ImageBuilder, others: Readonly<Record<string, Uint8Array>> = {}): FakeGate {
    const gate = new FakeGate(world);
    gate.put("/images/top.qcow2", top.build());
    for (const [location, contents] of Object.entries(others)) {
      gate.put(location, contents);
    }
    return gate;
  }

  function base(): ImageBuilder {
    const image = new ImageBuilder({ size });
    image.data(3 * 512, some);
    return image;
  }

  describe("an image with a backing image", () => {
    it("is denied unless a gate or the caller gives it", async () => {
      const gate = gateWith(overlay("base.qcow2", "qcow2"));
      const error = await expectImgError("ERR_IMG_DENIED", 'wants to open its backing image "base.qcow2"', () =>
        openTop(gate),
      );
      expect(error.subject).toBe("base.qcow2");
    });

    it("asks the gate for what its header names", async () => {
      const gate = gateWith(overlay("sub/base.qcow2", "qcow2"), { "/images/sub/base.qcow2": base().build() });
      const image = await openTop(gate, { gate });
      expect(gate.asked).toMatchObject([
        {
          kind: "backing",
          name: "sub/base.qcow2",
          location: "/images/sub/base.qcow2",
          format: "qcow2",
          writable: false,
          from: gate.opened[0],
        },
      ]);
      expect(gate.asked[0]!.chain.depth).toBe(1);
      assertBytes(await readDisk(world, image, 3 * 512, 512), some, "what is below");
      expect(image.driver.backing).not.toBe(null);
    });

    it("says that no format is recorded, or which one the caller names instead", async () => {
      const contents = { "/images/base.qcow2": base().build() };
      const unrecorded = gateWith(overlay("base.qcow2"), contents);
      await openTop(unrecorded, { gate: unrecorded });
      expect(unrecorded.asked[0]!.format).toBe(undefined);
      const named = gateWith(overlay("base.qcow2", "raw"), contents);
      await openTop(named, { gate: named, backingFormat: "qcow2" });
      expect(named.asked[0]!.format).toBe("qcow2");
    });

    it("closes what it opened, and not what it was given", async () => {
      const gate = gateWith(overlay("base.qcow2", "qcow2"), { "/images/base.qcow2": base().build() });
      const image = await openTop(gate, { gate });
      expect(gate.opened.length).toBe(2);
      await world.run(image.io.close());
      expect(gate.leaked).toEqual([]);
      await world.run(image.io.close());
      expect(gate.opened.map((storage) => storage.calls("close"))).toEqual([1, 1]);

      const given = await world.run(qcow2.openIo(gate.open("/images/base.qcow2")));
      const above = await openTop(gate, { backing: given });
      assertBytes(await readDisk(world, above, 3 * 512, 512), some, "what is below");
      await world.run(above.io.close());
      expect(gate.leaked).toEqual(['memory:"/images/base.qcow2"']);
      assertBytes(await readDisk(world, given, 3 * 512, 512), some, "the image below");
    });

    it("is opened alone where the caller says so: nothing is below, nothing is asked", async () => {
      const gate = gateWith(overlay("base.qcow2", "qcow2"));
      const image = await openTop(gate, { gate, backing: null });
      expect(gate.asked).toEqual([]);
      expect(image.driver.backing).toBe(null);
      assertBytes(await readDisk(world, image), new Uint8Array(size), "the disk");
      expect(image.driver.implicitBackingFile()).toBe("base.qcow2");
      expect(image.driver.implicitBackingFormat()).toBe("qcow2");
    });

    it("may be given one although its header names none", async () => {
      const gate = gateWith(new ImageBuilder({ size }), { "/base": base().build() });
      const backing = await world.run(qcow2.openIo(gate.open("/base")));
      const image = await openTop(gate, { backing });
      assertBytes(await readDisk(world, image, 3 * 512, 512), some, "what is below");
      expect(image.driver.implicitBackingFile()).toBe(undefined);
    });

    it("keeps names with protocols away from the file system", async () => {
      for (const name of ["nbd://10.0.0.1/secret", 'json:{"driver":"host_device"}']) {
        const gate = gateWith(overlay(name));
        await expectImgError("ENOENT", `no such file: ${name}`, () => openTop(gate, { gate }));
        expect(gate.asked[0]).toMatchObject({ name, location: name });
        expect(gate.leaked).toEqual(['memory:"/images/top.qcow2"']);
      }
    });

    it("is part of a chain of any depth, up to the limit", async () => {
      const gate = gateWith(overlay("1"));
      for (let depth = 1; depth < 63; depth++) {
        gate.put(`/images/${depth}`, overlay(`${depth + 1}`).build());
      }
      gate.put("/images/63", base().build());
      const image = await openTop(gate, { gate });
      assertBytes(await readDisk(world, image, 3 * 512, 512), some, "what is 63 images below");
      await world.run(image.io.close());
      expect(gate.leaked).toEqual([]);

      gate.put("/images/63", overlay("64").build());
      gate.put("/images/64", base().build());
      await expectImgError("ERR_IMG_LIMIT", "is more than 64 images deep", () => openTop(gate, { gate }));
      // what was opened on the way is closed again, except what the caller opened
      expect(gate.leaked).toEqual(['memory:"/images/top.qcow2"']);

      const shallow = gateWith(overlay("1"), { "/images/1": overlay("2").build(), "/images/2": base().build() });
      await expectImgError("ERR_IMG_LIMIT", "is more than 2 images deep", () =>
        openTop(shallow, { gate: shallow, chain: new OpenChain(2) }),
      );
    });

    it("isn't below itself, directly or through others", async () => {
      const itself = gateWith(overlay("top.qcow2"));
      await expectImgError("ERR_IMG_CORRUPT", "refer to each other in a loop", () => openTop(itself, { gate: itself }));
      expect(itself.opened.length).toBe(2);
      const circle = gateWith(overlay("a"), { "/images/a": overlay("b").build(), "/images/b": overlay("a").build() });
      await expectImgError("ERR_IMG_CORRUPT", '"/images/a" → memory:"/images/b" → memory:"/images/a"', () =>
        openTop(circle, { gate: circle }),
      );
      expect(circle.leaked).toEqual(['memory:"/images/top.qcow2"']);
    });
  });

  describe("an image with an external data file", () => {
    const data = { "/images/disk.raw": withDataFile().dataFile };

    it("is denied unless a gate or the caller gives it", async () => {
      const gate = gateWith(withDataFile("disk.raw"));
      await expectImgError("ERR_IMG_DENIED", 'wants to open its data file "disk.raw"', () => openTop(gate));
    });

    it("asks the gate for it by a plain name, whatever it looks like", async () => {
      const gate = gateWith(withDataFile("disk.raw"), data);
      const image = await openTop(gate, { gate });
      expect(gate.asked).toMatchObject([
        { kind: "data-file", name: "disk.raw", location: "/images/disk.raw", format: "raw", writable: false },
      ]);
      assertBytes(await readDisk(world, image, 5 * 512, 512), some, "a cluster");
      assertBytes(await readDisk(world, image, 0, 512), some, "the first cluster");
      assertBytes(await readDisk(world, image, 512, 512), new Uint8Array(512), "an unallocated cluster");
      expect(image.driver.requiresExternalDataFile()).toBe(true);
      expect(image.driver.implicitExternalDataFile()).toBe("disk.raw");
      for (const name of ["json:{}", "nbd:x", "file:disk.raw"]) {
        const odd = gateWith(withDataFile(name));
        await expectImgError("ENOENT", "no such file", () => openTop(odd, { gate: odd }));
        expect(odd.asked[0]!.location).toBe(`/images/${name}`);
      }
    });

    it("closes it, whoever opened it", async () => {
      const gate = gateWith(withDataFile("disk.raw"), data);
      const image = await openTop(gate, { gate });
      await world.run(image.io.close());
      expect(gate.leaked).toEqual([]);
      const given = await openTop(gate, { dataFile: gate.open("/images/disk.raw") });
      assertBytes(await readDisk(world, given, 5 * 512, 512), some, "a cluster");
      expect(given.driver.storages.length).toBe(2);
      await world.run(given.io.close());
      expect(gate.leaked).toEqual([]);
    });

    it("is refused without, and so is one that it doesn't need", async () => {
      const gate = gateWith(withDataFile("disk.raw"), data);
      const error = await expectImgError("ERR_IMG_UNSUPPORTED", "can't be read without its external data file", () =>
        openTop(gate, { dataFile: null }),
      );
      expect(error.feature).toBe("external data file");
      gate.put("/plain", base().build());
      await expectImgError("ERR_IMG_UNSUPPORTED", "has no external data file, but was given one", () =>
        openTop(gate, { dataFile: gate.open("/images/disk.raw") }, "/plain"),
      );
      const plain = await openTop(gate, { dataFile: null }, "/plain");
      expect(plain.driver.requiresExternalDataFile()).toBe(false);
      expect(plain.driver.implicitExternalDataFile()).toBe(undefined);
    });

    it("is refused when it names none and none is given", async () => {
      const gate = gateWith(withDataFile(), data);
      await expectImgError("ERR_IMG_CORRUPT", "needs an external data file, but names none", () =>
        openTop(gate, { gate }),
      );
      const given = await openTop(gate, { gate, dataFile: gate.open("/images/disk.raw") });
      assertBytes(await readDisk(world, given, 5 * 512, 512), some, "a cluster");
    });

    it("is refused when it claims a raw data file without having any", async () => {
      const image = new ImageBuilder({ size });
      image.fields = { autoclearFeatures: 2 };
      const gate = gateWith(image);
      await expectImgError("ERR_IMG_CORRUPT", "claims a raw data file", () => openTop(gate));
      const raw = withDataFile("disk.raw");
      raw.fields = { autoclearFeatures: 2 };
      const sound = gateWith(raw, data);
      const opened = await openTop(sound, { gate: sound });
      expect(opened.driver.info.dataFileRaw).toBe(true);
    });
  });

  describe("when it fails", () => {
    it("closes the data file that the gate opened, and leaves alone what the caller gave", async () => {
      const image = withDataFile("disk.raw");
      image.backingName = "missing";
      const gate = gateWith(image, { "/images/disk.raw": image.dataFile });
      await expectImgError("ENOENT", "/images/missing", () => openTop(gate, { gate }));
      expect(gate.leaked).toEqual(['memory:"/images/top.qcow2"']);
      const given = gate.open("/images/disk.raw");
      await expectImgError("ENOENT", "/images/missing", () => openTop(gate, { gate, dataFile: given }));
      expect(given.calls("close")).toBe(0);
    });

    it("closes the backing image that the gate opened", async () => {
      const gate = gateWith(overlay("base.qcow2"), { "/images/base.qcow2": base().build() });
      await expect(openTop(gate, { gate, l2CacheSize: Number.NaN })).rejects.toThrow(RangeError);
      expect(gate.opened.length).toBe(2);
      expect(gate.leaked).toEqual(['memory:"/images/top.qcow2"']);
    });

    it("leaves alone the backing image that the caller gave", async () => {
      const gate = gateWith(overlay("base.qcow2"), { "/images/base.qcow2": base().build() });
      const backing = await world.run(qcow2.openIo(gate.open("/images/base.qcow2")));
      await expect(openTop(gate, { backing, l2CacheSize: Number.NaN })).rejects.toThrow(RangeError);
      assertBytes(await readDisk(world, backing, 3 * 512, 512), some, "the image below");
    });

    it("opens nothing for a snapshot that isn't there, or contents that are encrypted", async () => {
      const image = overlay("base.qcow2");
      const gate = gateWith(image, { "/images/base.qcow2": base().build() });
      await expectImgError("ERR_IMG_OUT_OF_RANGE", "there is no snapshot", () =>
        openTop(gate, { gate, snapshot: "1" }),
      );
      image.fields = { cryptMethod: 1 };
      gate.put("/images/top.qcow2", image.build());
      await expectImgError("ERR_IMG_UNSUPPORTED", "is encrypted (AES)", () => openTop(gate, { gate }));
      expect(gate.asked).toEqual([]);
    });

    it("tells of the host's error, at whatever read", async () => {
      const image = base();
      image.snapshot({ id: "1", name: "x" });
      const bytes = image.build();
      const counting = new CountingStorage<Storage>(world.storage(new MemoryStorage(bytes)));
      await world.run(qcow2.openIo(counting));
      const reads = counting.calls("read");
      expect(reads).toBe(2);
      for (let nth = 1; nth <= reads; nth++) {
        const faulty = new FaultStorage(world.storage(new MemoryStorage(bytes)), [{ on: "read", nth }]);
        await expectImgError("EIO", "memory: cannot read", () => world.run(qcow2.openIo(faulty)));
      }
    });
  });

  describe("to inspect", () => {
    it("opens nothing, whatever the header names and the gate would allow", async () => {
      const image = withDataFile("disk.raw");
      image.backingName = "base.qcow2";
      const gate = gateWith(image, { "/images/disk.raw": image.dataFile, "/images/base.qcow2": base().build() });
      const inspected = await openTop(gate, { gate, inspect: true });
      expect(gate.asked).toEqual([]);
      expect(gate.opened.length).toBe(1);
      expect(inspected.driver.backing).toBe(null);
      expect(inspected.driver.describe()).toMatchObject({
        format: "qcow2",
        virtualSize: size,
        backing: { name: "base.qcow2" },
        dataFile: { name: "disk.raw", format: "raw" },
      });
      await world.run(inspected.io.close());
      expect(gate.leaked).toEqual([]);
    });

    it("refuses data and mappings", async () => {
      const gate = gateWith(base());
      const image = await openTop(gate, { inspect: true });
      const refused = [
        () => readDisk(world, image, 0, 1),
        () => world.run(image.io.getMapping(0, 1)),
        () => world.run(image.io.getShallowMapping(0, 1)),
        () => world.run(image.driver.getClusterMapping(0 as never)),
        () => world.run(image.driver.readSpecial(undefined as never, 0 as never)),
      ];
      for (const run of refused) {
        await expectImgError("ERR_IMG_DENIED", "was opened to be described, not to be read", run);
      }
    });
  });

  it("reads two pieces of an image of 1 TiB at most, and nothing of its tables", async () => {
    const bytes = headerBytes({ size: 2 ** 40, l1Size: 2048, l1TableOffset: 0x3_0000 }, 0x4_0000);
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(bytes)));
    const image = await world.run(qcow2.openIo(storage));
    expect(storage.counts.read).toEqual({ calls: 1, bytes: 4096 });
    expect(image.size).toBe(2 ** 40);
    storage.reset();
    await readDisk(world, image, 2 ** 39, 4096);
    expect(storage.counts.read).toEqual({ calls: 1, bytes: 4096 });
  });

  it("to write is refused for what must not be written", async () => {
    const image = base();
    image.snapshot({ id: "1", name: "x" });
    const rules = [
      ["ERR_IMG_READ_ONLY", "a snapshot can't be written", {}, { snapshot: "1" }],
      ["ERR_IMG_CORRUPT", "is marked as corrupt", { incompatibleFeatures: 2 }, {}],
      ["ERR_IMG_CORRUPT", "was not closed properly", { incompatibleFeatures: 1 }, {}],
      ["ERR_IMG_UNSUPPORTED", "is encrypted", { cryptMethod: 1 }, {}],
    ] as const;
    for (const [code, message, fields, options] of rules) {
      image.fields = fields;
      const bytes = image.build();
      const memory = new MemoryStorage(bytes);
      const storage = world.storage(memory);
      await expectImgError(code, message, () => world.run(qcow2.openIo(storage, { writable: true, ...options })));
      assertBytes(memory.toUint8Array(), bytes, "the image");
    }
    const readOnly = world.storage(new MemoryStorage(base().build(), { writable: false }));
    await expectImgError("ERR_IMG_READ_ONLY", "memory is read-only", () =>
      world.run(qcow2.openIo(readOnly, { writable: true })),
    );
  });

  it("works through a registry, by probing", async () => {
    const gate = gateWith(base());
    const registry = new FormatRegistry([qcow2]);
    const image = await world.run(registry.openIo(gate.open("/images/top.qcow2")));
    assertBytes(await readDisk(world, image, 3 * 512, 512), some, "a cluster");
  });
});

describe("opening with a promise", () => {
  it("gives an image that is ready to be read", async () => {
    const [asynchronous] = bothWorlds;
    const image = new ImageBuilder({ size });
    image.data(0, some);
    await using opened = await qcow2.open(asynchronous!.storage(new MemoryStorage(image.build())));
    const bytes = new Uint8Array(512);
    await opened.read(bytes, 0);
    assertBytes(bytes, some, "a cluster");
  });
});
