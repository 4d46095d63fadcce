import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assertBytes, SeededRandom } from "@img/testing";
import { afterAll, describe, expect, it } from "vitest";
import { codecs } from "../src/codecs/portable.ts";
import { ImageBuilder, type ImageKind } from "./support/image-builder.ts";

const directory = mkdtempSync(join(tmpdir(), "img-builder-"));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const kinds: readonly (ImageKind & { readonly title: string })[] = [
  { title: "version 3", size: 100_000 },
  { title: "version 2", size: 65536, version: 2 },
  { title: "64 KiB clusters", size: 0x60_0000, clusterBits: 16 },
  { title: "extended L2 entries", size: 0x40_0000, extendedL2: true },
  ...[1, 2, 3, 5, 6].map((refcountOrder) => ({
    title: `refcount order ${refcountOrder}`,
    size: 100_000,
    refcountOrder,
  })),
];

// what the other tests rely on: that these images are what they are meant to be
describe("the image builder", () => {
  it.each(kinds)("makes images that qemu-img finds sound and reads alike: $title", (kind) => {
    const random = new SeededRandom(1);
    const image = new ImageBuilder(kind);
    const model = new Uint8Array(Math.floor(kind.size / 512) * 512);
    const { clusterSize } = image;
    const put = (cluster: number): void => {
      const bytes = random.bytes(clusterSize);
      image.data(cluster * clusterSize, bytes);
      model.set(bytes, cluster * clusterSize);
    };
    put(0);
    put(3);
    put(4);
    if (kind.version !== 2) {
      image.zero(5 * clusterSize);
      image.zero(6 * clusterSize, true);
    }
    image.snapshot({ id: "1", name: "before" });
    put(3);
    put(9);
    for (let cluster = 20; cluster < 26; cluster++) {
      const bytes = Uint8Array.from(random.bytes(clusterSize), (byte) => byte & 15);
      image.compressed(cluster * clusterSize, codecs.zlib.compress!(bytes)!);
      model.set(bytes, cluster * clusterSize);
    }
    const path = join(directory, "image");
    writeFileSync(path, image.build());
    execFileSync("qemu-img", ["check", "-f", "qcow2", path], { stdio: "pipe" });
    execFileSync("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", path, `${path}.raw`]);
    assertBytes(readFileSync(`${path}.raw`), model, "what qemu-img reads");
    expect(model.some((byte) => byte !== 0)).toBe(true);
  });
});
