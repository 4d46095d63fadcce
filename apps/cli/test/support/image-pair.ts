import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

  /** @param make - makes the images in the directory that it is given */
  constructor(make: (directory: string) => void) {
    mkdirSync(this.#originals);
    make(this.#originals);
    this.reset();
  }

  /** Both sets as they were made. */
  reset(): void {
    for (const directory of [this.ours, this.theirs]) {
      rmSync(directory, { recursive: true, force: true });
      cpSync(this.#originals, directory, { recursive: true });
    }
  }

  run(...args: readonly string[]): PairResult {
    return { ours: normalized(img(args, this.ours)), theirs: normalized(qemuImg(args, this.theirs)) };
  }

  /** Size of the disk, as qemu-img sees it, of ours and theirs. */
  sizes(name: string): readonly [number, number] {
    const size = (directory: string): number => {
      const info: unknown = JSON.parse(tool("qemu-img", ["info", "--output=json", name], directory));
      return (info as { readonly "virtual-size": number })["virtual-size"];
    };
    return [size(this.ours), size(this.theirs)];
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
