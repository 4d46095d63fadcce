import { writeFileSync } from "node:fs";
import { Random } from "./random.ts";

const sector = 512;

/**
 * Contents of a whole disk of `length` bytes: stretches of incompressible bytes, of text that compresses well, of zeroes and of one repeated
 * byte, each sector of the first two different from every other, so that a sector read from a wrong place shows.
 */
export function diskContents(length: number, random: Random): Uint8Array {
  const contents = new Uint8Array(length);
  const noise = random.bytes(64 * 1024);
  let at = 0;
  while (at < length) {
    const end = Math.min(length, at + sector * random.between(1, 400));
    const kind = random.pick(["noise", "noise", "text", "text", "zero", "byte"] as const);
    if (kind === "byte") {
      contents.fill(random.between(1, 255), at, end);
    } else if (kind !== "zero") {
      fillSectors(contents.subarray(at, end), at, kind === "noise" ? noise : undefined, random);
    }
    at = end;
  }
  return contents;
}

function fillSectors(part: Uint8Array, offset: number, noise: Uint8Array | undefined, random: Random): void {
  const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
  for (let at = 0; at < part.length; at += sector) {
    const room = Math.min(sector, part.length - at);
    if (noise === undefined) {
      part.fill(0x20 + random.below(64), at, at + room);
    } else {
      const from = random.below(noise.length - sector);
      part.set(noise.subarray(from, from + room), at);
    }
    if (room >= 8) {
      view.setUint32(at, offset + at);
      view.setUint32(at + 4, random.uint32());
    }
  }
}

/** Names of the pattern files that {@link writePatternFiles} makes. */
export const patternFiles = ["noise-a", "noise-b", "text-a", "text-b", "half"] as const;

/**
 * Makes files whose contents `qemu-io write -s` repeats over a range. Their lengths are odd, so that no two clusters of one write are equal.
 * @param pathOf - where each goes
 */
export function writePatternFiles(pathOf: (name: string) => string): void {
  const random = new Random("pattern files");
  for (const [index, name] of patternFiles.entries()) {
    const length = 150_001 + 2 * index;
    const contents = name.startsWith("noise") ? random.bytes(length) : text(length, random);
    if (name === "half") {
      contents.set(random.bytes(70_001), 40_000);
    }
    writeFileSync(pathOf(name), contents);
  }
}

function text(length: number, random: Random): Uint8Array {
  const words = Array.from({ length: 200 }, () => random.uint32().toString(36));
  let result = "";
  while (result.length < length) {
    result += `${random.pick(words)} `;
  }
  return new TextEncoder().encode(result.slice(0, length));
}
