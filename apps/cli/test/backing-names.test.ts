import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, tool } from "./support/run-tool.ts";

const root = mkdtempSync(join(tmpdir(), "img-backing-names-"));

beforeAll(() => {
  mkdirSync(join(root, "sub"));
  for (const name of ["base.qcow2", "sub/base.qcow2"]) {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", name, "1M"], root);
    tool("qemu-io", ["-c", "write -P 7 0 64k", name], root);
  }
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** An image that names another one. */
function overlay(name: string, backing: string, format = "qcow2"): string {
  tool("qemu-img", ["create", "-q", "-f", "qcow2", name, "1M"], root);
  tool("qemu-img", ["rebase", "-u", "-b", backing, "-F", format, name], root);
  return name;
}

const nested = 'json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}';

describe("names of images below that are instructions on a command line", () => {
  it.each([
    ["options", nested, "qcow2"],
    ["a filter", "blkdebug::base.qcow2", "qcow2"],
    ["nothing", "null-co://", "raw"],
    ["a device", "host_device:base.qcow2", "qcow2"],
    ["something that isn't supported", "http://localhost:1/base.qcow2", "qcow2"],
  ])("aren't in an image: %s", (_what, backing, format) => {
    const top = overlay("named.qcow2", backing, format);
    const missing = `Could not open '${backing}': No such file or directory\n`;
    expect(img(["convert", "-O", "raw", top, "out.raw"], root)).toMatchObject({
      code: 1,
      stderr: `img: Could not open '${top}': Could not open backing file: ${missing}`,
    });
    expect(img(["info", "--backing-chain", top], root)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `img: Could not open '${backing}': ${missing}`,
    });
    // the image itself can be described
    expect(img(["info", top], root)).toMatchObject({ code: 0, stderr: "" });
  });

  it("aren't where the image itself is named by options", () => {
    const options = `driver=qcow2,file.driver=blkdebug,file.image.filename=${overlay("named.qcow2", nested)}`;
    for (const args of [
      ["info", "--backing-chain", "--image-opts", options],
      ["convert", "--image-opts", "-O", "raw", options, "out.raw"],
    ]) {
      const { code, stderr } = img(args, root);
      expect(code).toBe(1);
      expect(stderr).toContain("names of this kind mean something on command lines only");
    }
  });
});

describe("names of images below that lie beside the image that has them", () => {
  it.each(["base.qcow2", "file:base.qcow2", "../sub/base.qcow2", "file:../base.qcow2"])("%s", (backing) => {
    const top = overlay("sub/top.qcow2", backing);
    for (const name of [
      top,
      join(root, top),
      `json:{"driver":"qcow2","file":{"driver":"file","filename":"${top}"}}`,
      `json:{"driver":"qcow2","file":{"driver":"blkdebug","image":{"driver":"file","filename":"${top}"}}}`,
    ]) {
      const { code, stdout, stderr } = img(["info", "--backing-chain", "--output=json", name], root);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toHaveLength(2);
      expect(img(["convert", "-O", "raw", name, "out.raw"], root)).toMatchObject({ code: 0 });
    }
  });

  it("are as in qemu-img where they are missing", () => {
    const args = ["info", "--backing-chain", overlay("sub/top.qcow2", "missing.qcow2")];
    expect(img(args, root).stderr.replace(/^img:/, "qemu-img:")).toBe(qemuImg(args, root).stderr);
  });
});

describe("exports of NBD servers below an image", () => {
  const socket = join(root, "socket");
  let server: ChildProcess;

  beforeAll(async () => {
    server = spawn("qemu-nbd", ["-t", "-r", "-f", "qcow2", "-k", socket, "base.qcow2"], { cwd: root });
    for (let tries = 0; tries < 100 && !isListening(); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  afterAll(() => {
    server.kill();
  });

  function isListening(): boolean {
    return img(["info", `nbd+unix:///?socket=${socket}`], root).code === 0;
  }

  it("are opened, as by qemu-img, but not with --isolated", () => {
    const top = overlay("remote.qcow2", `nbd+unix:///?socket=${socket}`, "raw");
    const chain = JSON.parse(img(["info", "--backing-chain", "--output=json", top], root).stdout) as unknown[];
    expect(chain).toHaveLength(2);
    expect(img(["compare", top, "base.qcow2"], root)).toMatchObject({ code: 0, stdout: "Images are identical.\n" });
    for (const args of [
      ["info", "--isolated", "--backing-chain", top],
      ["compare", "--isolated", top, "base.qcow2"],
    ]) {
      expect(img(args, root).stderr).toContain("ERR_IMG_DENIED");
    }
  });

  it("are named when they can't be reached", () => {
    const place = join(root, "nobody");
    const top = overlay("unreachable.qcow2", `nbd+unix:///?socket=${place}`, "raw");
    for (const args of [
      ["info", "--backing-chain", top],
      ["convert", "-O", "raw", top, "out.raw"],
    ]) {
      const { code, stderr } = img(args, root);
      expect(code).toBe(1);
      expect(stderr).toContain(`unix:${place}: cannot connect`);
    }
  });
});

describe("an image below that is given by options", () => {
  const options = "driver=qcow2,file.filename=top.qcow2,backing.driver=qcow2,backing.file.filename=middle.qcow2";

  beforeAll(() => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "middle.qcow2"], root);
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "top.qcow2", "1M"], root);
  });

  it("opens what it names, as the one above would", () => {
    expect(qemuImg(["compare", "--image-opts", options, "driver=qcow2,file.filename=base.qcow2"], root).code).toBe(0);
    const args = ["compare", "--image-opts", options, "driver=qcow2,file.filename=base.qcow2"];
    expect(img(args, root)).toMatchObject({ code: 0, stdout: "Images are identical.\n", stderr: "" });
    expect(img([...args, "--isolated"], root)).toMatchObject({ code: 2 });
    expect(img([...args, "--isolated"], root).stderr).toContain("ERR_IMG_DENIED");
  });

  it("names nothing but files and exports", () => {
    tool("qemu-img", ["rebase", "-u", "-b", nested, "-F", "qcow2", "middle.qcow2"], root);
    const { code, stderr } = img(["map", "--image-opts", options], root);
    tool("qemu-img", ["rebase", "-u", "-b", "base.qcow2", "-F", "qcow2", "middle.qcow2"], root);
    expect({ code, stderr }).toMatchObject({ code: 1 });
    expect(stderr).toContain(`Could not open '${nested}': No such file or directory`);
  });

  it("is shared with -U and force-share=on, like the one above, and locked otherwise", async () => {
    const writer = spawn("qemu-io", ["middle.qcow2"], { cwd: root, stdio: ["pipe", "pipe", "ignore"] });
    await new Promise((resolve) => writer.stdout.once("data", resolve));
    try {
      for (const [more, ...flags] of [[",force-share=on"], ["", "-U"]]) {
        const args = ["map", ...flags, "--image-opts", `${options}${more ?? ""}`];
        expect(qemuImg(args, root)).toMatchObject({ code: 0 });
        expect(img(args, root)).toMatchObject({ code: 0, stderr: "" });
      }
      for (const [more, ...flags] of [[""], [",backing.force-share=off", "-U"]]) {
        const args = ["map", ...flags, "--image-opts", `${options}${more ?? ""}`];
        expect(qemuImg(args, root)).toMatchObject({ code: 1 });
        expect(img(args, root)).toMatchObject({ code: 1 });
      }
    } finally {
      writer.stdin.end("quit\n");
      await new Promise((resolve) => writer.once("exit", resolve));
    }
  });
});
