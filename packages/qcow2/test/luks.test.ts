import { describe, expect, it } from "vitest";
import { extensionTypes, parseLuksHeader } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { concat, text, uint64 } from "./support/extension-bytes.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { openBuilt, readDisk } from "./support/open-built.ts";
import { bothWorlds } from "./support/worlds.ts";

/** A LUKS version 1 header as `qemu-img create --object secret -o encrypt.format=luks` makes it. */
function luksBytes(mode = "xts-plain64"): Uint8Array {
  const bytes = new Uint8Array(592);
  const view = new DataView(bytes.buffer);
  bytes.set([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]);
  view.setUint16(6, 1);
  bytes.set(text("aes"), 8);
  bytes.set(text(mode), 40);
  bytes.set(text("sha256"), 72);
  view.setUint32(104, 4040);
  view.setUint32(108, 64);
  view.setUint32(164, 123_456);
  bytes.set(text("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), 168);
  for (let slot = 0; slot < 8; slot++) {
    const at = 208 + slot * 48;
    view.setUint32(at, slot === 0 || slot === 7 ? 0x00ac71f3 : 0x0000dead);
    view.setUint32(at + 4, slot === 0 ? 0xffff_ffff : slot);
    view.setUint32(at + 40, 8 + slot * 504);
    view.setUint32(at + 44, 4000);
  }
  return bytes;
}

describe("a LUKS header", () => {
  it("tells how its contents are encrypted", () => {
    const header = parseLuksHeader(luksBytes());
    expect(header).toMatchObject({
      cipherName: "aes",
      cipherMode: "xts-plain64",
      hash: "sha256",
      keyLength: 64,
      masterKeyIterations: 123_456,
      payloadOffset: 4040 * 512,
      uuid: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    });
    expect(header.slots.length).toBe(8);
    expect(header.slots[0]).toEqual({ active: true, iterations: 0xffff_ffff, keyOffset: 4096, stripes: 4000 });
    expect(header.slots[1]).toEqual({ active: false, iterations: 1, keyOffset: 512 * 512, stripes: 4000 });
    expect(header.slots[7]).toMatchObject({ active: true, keyOffset: (8 + 7 * 504) * 512 });
  });

  it("may have texts that fill their fields", () => {
    const bytes = luksBytes();
    const fields = [
      [8, 32],
      [40, 32],
      [72, 32],
      [168, 40],
    ] as const;
    for (const [at, length] of fields) {
      bytes.fill(0x61, at, at + length);
    }
    // the fields behind them begin with something, too
    bytes.fill(0x7f, 104, 108);
    bytes.fill(0x7f, 208, 212);
    const { cipherName, cipherMode, hash, uuid } = parseLuksHeader(bytes);
    expect([cipherName, cipherMode, hash, uuid].map((each) => each.length)).toEqual([32, 32, 32, 40]);
  });

  it("is refused without its magic bytes, or of another version", async () => {
    for (let at = 0; at < 6; at++) {
      const bytes = luksBytes();
      bytes[at]! ^= 1;
      await expectImgError("ERR_IMG_CORRUPT", "the LUKS header's magic bytes are missing", () =>
        parseLuksHeader(bytes),
      );
    }
    for (const version of [0, 2, 0x100]) {
      const bytes = luksBytes();
      new DataView(bytes.buffer).setUint16(6, version);
      const error = await expectImgError("ERR_IMG_UNSUPPORTED", `LUKS version ${version}: expected 1`, () =>
        parseLuksHeader(bytes),
      );
      expect(error.feature).toBe("encryption");
    }
  });
});

describe.each(bothWorlds)("an encrypted image ($name)", (world) => {
  function built(cryptMethod: number, header = luksBytes(), length = header.length): ImageBuilder {
    const image = new ImageBuilder({ size: 65536 });
    image.data(0, new Uint8Array(512).fill(7));
    image.fields = { cryptMethod };
    if (cryptMethod === 2) {
      const offset = image.allocate(header.length);
      image.poke(offset, header);
      image.extensions = [{ type: extensionTypes.crypto, data: concat(uint64(offset), uint64(length)) }];
    }
    return image;
  }

  it.each([
    [1, "AES"],
    [2, "LUKS"],
  ])("is refused before anything is read as data: method %d", async (method, name) => {
    const error = await expectImgError(
      "ERR_IMG_UNSUPPORTED",
      `is encrypted (${name}): its contents can't be read`,
      () => openBuilt(world, built(method)),
    );
    expect(error.feature).toBe("encryption");
  });

  it("is described all the same, in qemu-img's words", async () => {
    const image = await openBuilt(world, built(2), { inspect: true });
    const description = image.driver.describe();
    expect(description.encrypted).toBe(true);
    const { encrypt } = description.specific!.data as { encrypt: { slots: unknown[] } & Record<string, unknown> };
    expect(encrypt).toMatchObject({
      "ivgen-alg": "plain64",
      "hash-alg": "sha256",
      "cipher-alg": "aes-256",
      uuid: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
      format: "luks",
      "cipher-mode": "xts",
      "payload-offset": 4040 * 512,
      "master-key-iters": 123_456,
    });
    expect(encrypt).not.toHaveProperty("ivgen-hash-alg");
    expect(encrypt.slots[0]).toEqual({ active: true, iters: 0xffff_ffff, "key-offset": 4096, stripes: 4000 });
    expect(encrypt.slots[1]).toEqual({ active: false, "key-offset": 512 * 512 });
    await expectImgError("ERR_IMG_DENIED", "was opened to be described", () => readDisk(world, image, 0, 1));
  });

  it("is described with whole keys for modes other than XTS, and with the generator's hash", async () => {
    const image = await openBuilt(world, built(2, luksBytes("cbc-essiv:sha256")), { inspect: true });
    const { encrypt } = image.driver.describe().specific!.data as { encrypt: Record<string, unknown> };
    expect(encrypt).toMatchObject({
      "cipher-alg": "aes-512",
      "cipher-mode": "cbc",
      "ivgen-alg": "essiv",
      "ivgen-hash-alg": "sha256",
    });
  });

  it("is described as what its method is where it has no LUKS header", async () => {
    const aes = await openBuilt(world, built(1), { inspect: true });
    expect(aes.driver.describe().specific!.data).toMatchObject({ encrypt: { format: "aes" } });
    const headless = built(2);
    headless.extensions = [];
    const luks = await openBuilt(world, headless, { inspect: true });
    expect(luks.driver.info.luks).toBe(undefined);
    expect(luks.driver.describe().specific!.data).toMatchObject({ encrypt: { format: "luks" } });
  });

  it("is refused where its header is too short, not there, or no header", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "LUKS header of 591 bytes: expected at least 592", () =>
      openBuilt(world, built(2, luksBytes(), 591), { inspect: true }),
    );
    await expectImgError("ERR_IMG_CORRUPT", "magic bytes are missing", () =>
      openBuilt(world, built(2, new Uint8Array(592)), { inspect: true }),
    );
    const past = built(2);
    past.extensions = [{ type: extensionTypes.crypto, data: concat(uint64(2n ** 52n), uint64(592)) }];
    await expectImgError("ERR_IMG_CORRUPT", "magic bytes are missing", () => openBuilt(world, past, { inspect: true }));
  });
});
