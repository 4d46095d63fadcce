import { readFileSync, writeFileSync } from "node:fs";
import {
  allowAll,
  allowWithin,
  FormatRegistry,
  isImgError,
  type OpenGate,
  type OpenGateOptions,
} from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { BridgeOpener, createSync, openSync, SyncStorageBridge } from "@img/sync";
import { ModelDisk } from "@img/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { buildWorker, promisedFiles } from "../src/bridged-files.ts";
import { randomFor } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const size = 3 << 20;
const formats = new FormatRegistry([qcow2, raw]);

let directory: TemporaryDirectory;
let specifier: URL;
let workerEntry: URL;
beforeAll(async () => {
  directory = new TemporaryDirectory();
  workerEntry = await buildWorker(directory);
  specifier = promisedFiles(directory);
});
afterAll(() => {
  directory[Symbol.dispose]();
});

function bridged(name: string, writable: boolean): SyncStorageBridge {
  return SyncStorageBridge.openSync(specifier, { workerEntry, options: { location: directory.file(name), writable } });
}

describe("qcow2 without await in a file that has to be waited for", () => {
  const path = (): string => directory.file("disk.qcow2");

  beforeEach(() => {
    writeFileSync(path(), "");
  });

  it("is created, written, and clean for the real tool", () => {
    const random = randomFor("a qcow2 image behind a bridge");
    const model = new ModelDisk(size);
    {
      using image = createSync(qcow2, bridged("disk.qcow2", true), { size, clusterSize: 4096 });
      for (let count = 0; count < 150; count++) {
        const offset = random.between(0, size - 1);
        const length = Math.min(size - offset, random.between(1, 20_000));
        if (random.chance(0.2)) {
          image.writeZeroes(offset, length);
          model.zero(offset, length);
        } else {
          const bytes = new Uint8Array(length).fill(random.between(1, 255));
          image.write(bytes, offset);
          model.write(bytes, offset);
        }
      }
      image.resizeGrow(size + 65536);
      model.resize(size + 65536);
      const whole = new Uint8Array(image.size);
      image.read(whole, 0);
      model.check(whole, 0);
    }
    runTool("qemu-img", ["check", "-q", "-f", "qcow2", path()]);
    runTool("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", path(), directory.file("copy.raw")]);
    model.check(readFileSync(directory.file("copy.raw")), 0, "what the tool reads");
  });

  it("is the same image for promises and for those who block", async () => {
    await using access = await qcow2.create(
      await SyncStorageBridge.open(specifier, { workerEntry, options: { location: path(), writable: true } }),
      { size },
    );
    await access.write(new Uint8Array(100_000).fill(5), 70_000);
    await access.flush();
    using again = openSync(qcow2, bridged("disk.qcow2", false));
    const read = new Uint8Array(100_002);
    again.read(read, 69_999);
    expect([read[0], read[1], read[100_000], read[100_001]]).toEqual([0, 5, 5, 0]);
  });

  it("keeps the names of errors on their way from the worker", () => {
    let thrown: unknown;
    try {
      bridged("nothing.qcow2", false);
    } catch (error) {
      thrown = error;
    }
    expect(isImgError(thrown, "ENOENT")).toBe(true);
    using storage = bridged("disk.qcow2", false);
    expect(() => openSync(qcow2, storage)).toThrow(
      expect.objectContaining({ code: "ERR_IMG_UNKNOWN_FORMAT" }) as Error,
    );
  });
});

describe("a chain of images without await, in files that have to be waited for", () => {
  const gates: Readonly<Record<string, (options: OpenGateOptions) => OpenGate>> = {
    "allowed all": (options) => allowAll(options),
    "allowed within a directory": (options) => allowWithin(directory.path, options),
  };

  it.each(Object.entries(gates))("is followed through an opener, %s", (_, gateWith) => {
    const at = (name: string): string => directory.file(name);
    writeFileSync(at("base.raw"), new Uint8Array(size).fill(1));
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", at("middle.qcow2")]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 2 64k 64k", at("middle.qcow2")]);
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", at("top.qcow2")]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 3 128k 64k", at("top.qcow2")]);
    using opener = new BridgeOpener(specifier, { workerEntry });
    using image = openSync(qcow2, bridged("top.qcow2", false), { gate: gateWith({ opener, formats }) });
    const bytes = new Uint8Array(4 * 65536);
    image.read(bytes, 0);
    expect([0, 1, 2, 3].map((index) => bytes[index * 65536 + 7])).toEqual([1, 2, 3, 1]);
  });

  it("ends where a directory ends", () => {
    using elsewhere = new TemporaryDirectory();
    writeFileSync(elsewhere.file("secret.raw"), new Uint8Array(size));
    const args = ["-b", elsewhere.file("secret.raw"), "-F", "raw", directory.file("nosy.qcow2")];
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", ...args]);
    using opener = new BridgeOpener(specifier, { workerEntry });
    using storage = bridged("nosy.qcow2", false);
    const gate = allowWithin(directory.path, { opener, formats });
    expect(() => openSync(qcow2, storage, { gate })).toThrow(
      expect.objectContaining({ code: "ERR_IMG_DENIED" }) as Error,
    );
  });
});
