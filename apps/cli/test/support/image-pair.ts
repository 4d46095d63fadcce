import { cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { img, qemuImg, tool, type ToolResult } from "./run-tool.ts";

/** What both programs did, told in the same words. */
export interface PairResult {
  readonly ours: ToolResult;
  readonly theirs: ToolResult;
}

/** The same images twice: one set for us to change, one for qemu-img. */
export class ImagePair implements Disposable {
  readonly #root: string = mkdtempSync(join(tmpdir(), "img-pair-"));
  readonly #originals: string = join(this.#root, "originals");
  readonly ours: string = join(this.#root, "ours");
  readonly theirs: string = join(this.#root, "theirs");
  /** What the copies looked like when they were made, by path. */
  readonly #copied = new Map<string, string>();

  /** @param make - makes the images in the directory that it is given */
  constructor(make: (directory: string) => void) {
    mkdirSync(this.#originals);
    make(this.#originals);
    this.reset();
  }

  /** Both sets as they were made. Copies again what has changed since, which is one image of many as a rule. */
  reset(): void {
    const names = readdirSync(this.#originals);
    for (const directory of [this.ours, this.theirs]) {
      mkdirSync(directory, { recursive: true });
      for (const name of readdirSync(directory)) {
        const path = join(directory, name);
        if (this.#copied.get(path) !== appearance(path)) {
          rmSync(path, { recursive: true, force: true });
          this.#copied.delete(path);
        }
      }
      for (const path of names.map((name) => join(directory, name)).filter((each) => !this.#copied.has(each))) {
        cpSync(join(this.#originals, basename(path)), path, { recursive: true });
        this.#copied.set(path, appearance(path));
      }
    }
  }

  run(...args: readonly string[]): PairResult {
    return { ours: normalized(img(args, this.ours)), theirs: normalized(qemuImg(args, this.theirs)) };
  }

  /** Fails unless QEMU finds disks of the same size with the same bytes in ours and theirs. */
  expectSameDisk(name: string, format: string): void {
    const [ours, theirs] = [join(this.ours, name), join(this.theirs, name)];
    if (format === "raw") {
      const [our, their] = [wholeSectors(readFileSync(ours)), wholeSectors(readFileSync(theirs))];
      expect(our.length, `size of ${name}`).toBe(their.length);
      expect(our.equals(their), `contents of ${name}`).toBe(true);
    } else if (hasDataFile(ours) || hasDataFile(theirs)) {
      const [our, their] = this.contents(name, format);
      expect(our.length, `size of ${name}`).toBe(their.length);
      expect(our.equals(their), `contents of ${name}`).toBe(true);
    } else {
      // says so when the sizes differ, even if there are only zeroes behind the shorter one
      const result = qemuImg(["compare", "-f", format, "-F", format, ours, theirs], this.ours);
      expect(result, `contents of ${name}`).toEqual({ code: 0, stdout: "Images are identical.\n", stderr: "" });
    }
  }

  /** All bytes of the disk, as qemu-img reads them, of ours and theirs. */
  contents(name: string, format: string): readonly [Buffer, Buffer] {
    const read = (directory: string): Buffer => {
      // where the image is: names of data files are relative to where QEMU runs
      const copy = join(this.#root, "contents.raw");
      tool("qemu-img", ["convert", "-f", format, "-O", "raw", name, copy], directory);
      return readFileSync(copy);
    };
    return [read(this.ours), read(this.theirs)];
  }

  /** What `qemu-img check` says about ours. */
  check(name: string): ToolResult {
    return qemuImg(["check", "-f", "qcow2", name], this.ours);
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

function normalized({ code, stdout, stderr }: ToolResult): ToolResult {
  return { code, stdout, stderr: stderr.replaceAll("qemu-img", "img") };
}

/** Differs from what it was when a file has been written or replaced. A directory never looks the same. */
function appearance(path: string): string {
  const { ino, mode, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
  return lstatSync(path).isFile() ? [ino, mode, size, mtimeNs, ctimeNs].join(" ") : String(Math.random());
}

/** As QEMU reads a raw image: filled up with zeroes to whole sectors. */
function wholeSectors(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 511)]);
}

/** Whether the data of a qcow2 image is in another file, whose name is relative to where QEMU runs. */
function hasDataFile(path: string): boolean {
  const bytes = readFileSync(path).subarray(0, 80);
  return bytes.readUInt32BE(4) >= 3 && (bytes.readUInt8(79) & 4) !== 0;
}
