import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tool } from "./run-tool.ts";

/** A directory of images of all kinds, made by the real tools. */
export class SampleImages {
  readonly directory: string = mkdtempSync(join(tmpdir(), "img-cli-"));

  constructor() {
    mkdirSync(join(this.directory, "sub"));
    this.#plain();
    this.#backed();
    this.#special();
    // what the host has allocated is part of what is compared, and settles when it is written
    this.tool("sync", ["-f", "."]);
  }

  tool(command: string, ...args: readonly [string[]]): string {
    return tool(command, args[0], this.directory);
  }

  create(name: string, size: string, options: readonly string[] = [], format = "qcow2"): void {
    this.tool(
      "qemu-img",
      ["create", "-q", "-f", format, ...options, name, size].filter((arg) => arg !== ""),
    );
  }

  io(name: string, ...commands: readonly string[]): void {
    this.tool("qemu-io", [...commands.flatMap((command) => ["-c", command]), name]);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #plain(): void {
    this.create("a.qcow2", "1M");
    this.io("a.qcow2", "write -P 1 0 128k", "write -P 2 256k 4k", "write -z 512k 64k", "write -c -P 3 640k 64k");
    this.tool("qemu-img", ["convert", "-O", "raw", "a.qcow2", "a.raw"]);
    this.create("plain.qcow2", "3M");
    this.io("plain.qcow2", "write -P 1 0 1M", "write -P 2 2M 100k");
    this.create("base.raw", "1M", [], "raw");
    this.tool("qemu-io", ["-f", "raw", "-c", "write -P 9 300k 50k", "base.raw"]);
    writeFileSync(join(this.directory, "odd.raw"), Buffer.alloc(1000, 7));
    writeFileSync(join(this.directory, "empty.raw"), "");
    this.create("empty.qcow2", "0");
    this.create("big.raw", "3M", [], "raw");
    this.tool("qemu-io", ["-f", "raw", "-c", "write -P 5 2000001 1", "big.raw"]);
    this.create("zeroes.raw", "2M", [], "raw");
    this.create("v2.qcow2", "1M", ["-o", "compat=0.10,cluster_size=4k"]);
    this.io("v2.qcow2", "write -P 4 12k 20k");
    this.create("subclusters.qcow2", "1M", ["-o", "extended_l2=on,cluster_size=16k"]);
    this.io("subclusters.qcow2", "write -P 4 1k 2k", "write -z 20k 3k", "write -P 5 40k 9000");
    this.create("preallocated.qcow2", "2M", ["-o", "preallocation=metadata"]);
    this.io("preallocated.qcow2", "write -P 4 256k 128k");
  }

  #backed(): void {
    this.create("ov.qcow2", "", ["-b", "base.raw", "-F", "raw"]);
    this.io("ov.qcow2", "write -P 6 0 64k", "write -z 320k 10k");
    this.create("sub/ov.qcow2", "2M", ["-b", "../ov.qcow2", "-F", "qcow2"]);
    this.io("sub/ov.qcow2", "write -P 7 128k 64k");
    this.create("short.qcow2", "512k", ["-b", "base.raw", "-F", "raw"]);
    this.create("on-short.qcow2", "3M", ["-b", "short.qcow2", "-F", "qcow2"]);
    this.create("broken.qcow2", "1M", ["-u", "-b", "gone.raw", "-F", "raw"]);
    this.create("nbd.qcow2", "1M", ["-u", "-b", "nbd:localhost:1", "-F", "raw"]);
    const json = '{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}';
    this.create("json.qcow2", "1M", ["-u", "-b", `json:${json}`, "-F", "raw"]);
    this.create("loop.qcow2", "1M");
    this.tool("qemu-img", ["rebase", "-u", "-b", "loop.qcow2", "-F", "qcow2", "loop.qcow2"]);
  }

  #special(): void {
    this.tool("cp", ["a.qcow2", "snapshots.qcow2"]);
    for (const name of ["one", "a name that is longer than its column"]) {
      this.tool("qemu-img", ["snapshot", "-c", name, "snapshots.qcow2"]);
      this.io("snapshots.qcow2", "write -P 8 0 64k");
    }
    this.tool("qemu-img", ["bitmap", "--add", "snapshots.qcow2", "b0"]);
    this.tool("qemu-img", ["bitmap", "--add", "-g", "1M", "--disable", "snapshots.qcow2", "second bitmap"]);
    this.create("data.qcow2", "1M", ["-o", "data_file=data.raw,data_file_raw=on"]);
    this.io("data.qcow2", "write -P 3 128k 64k");
    const secret = ["--object", "secret,id=s,data=abc"];
    this.create("luks.qcow2", "1M", [...secret, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"]);
    this.create("aes.qcow2", "1M", [...secret, "-o", "encrypt.format=aes,encrypt.key-secret=s"]);
  }
}
