import { formatSuite, type FormatManifest } from "@img/testing";
import { describe, it } from "vitest";
import { raw } from "../src/index.ts";

const manifest: FormatManifest = { anything: true, grows: true, shrinks: true };

describe("raw", () => {
  for (const { name, run } of formatSuite({ format: raw }, manifest)) {
    it(name, run, 60_000);
  }
});

describe("raw, at an offset in its storage", () => {
  const offset = 4096 + 512;
  const windowed = formatSuite(
    {
      format: raw,
      image: (disk) => {
        const bytes = new Uint8Array(offset + disk.length + 700).fill(0xaa);
        bytes.set(disk, offset);
        return bytes;
      },
      open: ([storage], { writable }) => raw.openIo(storage!, { writable, offset, length: 7 * 65536 + 4096 }),
    },
    { anything: true, creates: false },
  );
  for (const { name, run } of windowed) {
    it(name, run, 60_000);
  }
});
