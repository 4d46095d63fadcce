import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { qemuImg, qemuIo } from "./qemu-img.ts";

/** An image that the real tools have made, and what its disk holds. */
export interface ExampleImage {
  readonly path: string;
  /** The image that it stands on. */
  readonly backing?: string;
  readonly contents: Uint8Array;
  /** SHA-256 of the contents. */
  readonly sha256: string;
}

/** Of all disks, in bytes. */
const size = 12 * 1024 * 1024;

/** An image compressed with one method, with zero clusters and plain ones in between. */
export function compressedExample(directory: string, method: "zlib" | "zstd"): ExampleImage {
  const source = join(directory, `${method}.raw`);
  const path = join(directory, `${method}.qcow2`);
  writeFileSync(source, text());
  qemuImg("convert", "-f", "raw", "-O", "qcow2", "-c", "-o", `compression_type=${method}`, source, path);
  qemuIo(
    path,
    "qcow2",
    "write -P 0x5a 1M 512k",
    "write -z 3500k 320k",
    "write -P 0xc3 9000000 70000",
    "write -z -u 6M 1M",
  );
  return example(path);
}

/** An overlay that shows parts of another image. */
export function overlayExample(directory: string, below: ExampleImage): ExampleImage {
  const path = join(directory, "overlay.qcow2");
  qemuImg("create", "-f", "qcow2", "-b", below.path, "-F", "qcow2", path);
  // its header says only a name, as those of images that belong together do
  qemuImg("rebase", "-u", "-b", below.path.slice(below.path.lastIndexOf("/") + 1), "-F", "qcow2", path);
  qemuIo(path, "qcow2", "write -P 0x77 2500k 1500k", "write -z 7500k 512k");
  return { ...example(path), backing: below.path };
}

function example(path: string): ExampleImage {
  const raw = `${path}.contents`;
  qemuImg("convert", "-f", "qcow2", "-O", "raw", path, raw);
  const contents = readFileSync(raw);
  return { path, contents, sha256: createHash("sha256").update(contents).digest("hex") };
}

/** Words, with long stretches of nothing in between. */
function text(): Uint8Array {
  const bytes = new Uint8Array(size);
  const line = new TextEncoder().encode("a line of a text that compresses well, with its offset: ");
  for (let at = 0; at < size; at += 64) {
    if (at % (3 << 20) < 2 << 20) {
      bytes.set(line, at);
      new DataView(bytes.buffer).setUint32(at + 60, at);
    }
  }
  return bytes;
}
