import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, type ToolResult } from "./support/run-tool.ts";
import { SampleImages } from "./support/sample-images.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
let images: SampleImages;

beforeAll(() => {
  images = new SampleImages();
});
afterAll(() => {
  images.remove();
});

const path = (name: string): string => join(images.directory, name);

/** Runs a command line of the shell in which `img` is ours. */
function shell(command: string): ToolResult {
  const script = `img() { "${process.execPath}" "${program}" "$@"; }; ${command}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: images.directory, encoding: "utf8" });
  return { code: status, stdout, stderr };
}

describe("img convert to the standard output", () => {
  it.each([
    ["-O qcow2 a.qcow2"],
    ["-O raw a.qcow2"],
    ["-O qcow2 -o compat=0.10,cluster_size=4k ov.qcow2"],
    ["-O qcow2 -o extended_l2=on -S 4k plain.qcow2"],
    ["-O qcow2 -S 0 odd.raw"],
    ["-O qcow2 -B ov.qcow2 -F qcow2 ov.qcow2"],
    ["a.qcow2 base.raw"],
  ])("%s writes, to a pipe and to a file, the image that was measured", (command) => {
    expect(shell(`img convert ${command} - | cat > piped.out`)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(shell(`img convert -p ${command} - > stored.out`).stderr).toContain("(100.00/100%)");
    const { stdout } = shell(`img convert ${command} --length -`);
    expect(stdout).toBe(`${String(statSync(path("piped.out")).size)}\n`);
    expect(readFileSync(path("stored.out")).equals(readFileSync(path("piped.out")))).toBe(true);
    const format = command.includes("-O qcow2") ? "qcow2" : "raw";
    qemuImg(
      [
        "convert",
        "-O",
        "raw",
        ...command
          .replaceAll(/-[OoSBF] \S+ ?/g, "")
          .trim()
          .split(" "),
        "expected.raw",
      ],
      images.directory,
    );
    if (format === "qcow2") {
      expect(qemuImg(["check", "piped.out"], images.directory).stdout).toContain("No errors were found");
    }
    const compared = qemuImg(["compare", "-f", format, "-F", "raw", "piped.out", "expected.raw"], images.directory);
    expect(compared).toMatchObject({ code: 0 });
  });

  it("writes to a pipe by name as well", () => {
    expect(shell("img convert -O qcow2 a.qcow2 >(cat > named.out) && wait $!")).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(qemuImg(["compare", "a.qcow2", "named.out"], images.directory)).toMatchObject({ code: 0 });
  });

  it.each([
    ["-n", "-n can't be used"],
    ["-c -O qcow2", "-c can't be used"],
    ["--bitmaps -O qcow2", "--bitmaps can't be used"],
    ["-C", "-C can't be used"],
    ["-O qcow2 -o preallocation=metadata", "preallocation in an image that is streamed"],
    ["-O qcow2 -o data_file=/tmp/d", "in an image that is streamed"],
  ])("refuses %s by name, and writes nothing", (options, message) => {
    const { code, stdout, stderr } = shell(`img convert ${options} a.qcow2 - | wc -c; exit \${PIPESTATUS[0]}`);
    expect({ code, stdout: stdout.trim() }).toEqual({ code: 1, stdout: "0" });
    expect(stderr).toContain(message);
    expect(stderr).toContain("ERR_IMG_UNSUPPORTED");
  });

  it("ends quietly when nobody reads on", () => {
    writeFileSync(path("large.raw"), Buffer.alloc(4 * 1024 * 1024, 1));
    const { code, stderr } = shell("img convert large.raw - | head -c 10 > /dev/null; exit ${PIPESTATUS[0]}");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  });

  it("refuses a terminal", () => {
    const command = `"${process.execPath}" "${program}" convert a.qcow2 -`;
    const { stdout } = shell(`script -qec '${command}' /dev/null`);
    expect(stdout).toContain("refusing to write an image to a terminal");
  });

  it("ends when it is interrupted, although the reader is stuck", async () => {
    const child = spawn(process.execPath, [program, "convert", "large.raw", "-"], { cwd: images.directory });
    await once(child.stdout, "readable");
    child.kill("SIGINT");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(130);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends by the first %s while nobody reads its pipe",
    async (signal) => {
      images.tool("mkfifo", [path("unread")]);
      const child = spawn(process.execPath, [program, "convert", "-O", "raw", "a.qcow2", "unread"], {
        cwd: images.directory,
        stdio: "ignore",
      });
      try {
        const ended = once(child, "exit");
        // by then it waits: what it does until then takes less
        await sleep(1500);
        expect(child.exitCode).toBe(null);
        child.kill(signal);
        expect(await Promise.race([ended, sleep(5000)])).toEqual([128 + constants.signals[signal], null]);
      } finally {
        child.kill("SIGKILL");
        rmSync(path("unread"));
      }
      expect(readdirSync(images.directory).filter((name) => name.includes("unread"))).toEqual([]);
    },
  );

  it("waits for whoever reads its pipe", async () => {
    const { code, stdout } = shell(
      "mkfifo late; { sleep 1.5; cat late | wc -c; } & img convert -O raw a.qcow2 late; code=$?; wait; rm late; exit $code",
    );
    expect({ code, stdout: Number(stdout) }).toEqual({
      code: 0,
      stdout: Number(img(["convert", "--length", "-O", "raw", "a.qcow2", "-"], images.directory).stdout),
    });
  });

  it("refuses a length of what isn't streamed", () => {
    expect(img(["convert", "--length", "a.qcow2", "b.raw"], images.directory).stderr).toContain("--length requires -");
  });
});
