import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, truncateSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
/** QEMU's; ours is tested elsewhere. */
const nbdServer = "qemu-nbd";
const directory = realpathSync(mkdtempSync(join(tmpdir(), "img-cli-nbd-")));
const servers: ChildProcess[] = [];

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: directory, encoding: "utf8", timeout: 300_000 });
  return { status, stdout, stderr };
}

const img = (...args: readonly string[]): Outcome => run(process.execPath, [program, ...args]);
const qemuImg = (...args: readonly string[]): Outcome => run("qemu-img", args);

function tool(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { cwd: directory, stdio: "pipe" });
}

/** The path of the socket of an image that is served. */
async function serve(name: string, ...args: readonly string[]): Promise<string> {
  const socket = join(directory, name);
  const server = spawn(nbdServer, ["-t", "-e", "8", "-k", socket, ...args], { cwd: directory, stdio: "ignore" });
  servers.push(server);
  for (let tries = 0; tries < 3000; tries++) {
    const isThere = await new Promise<boolean>((resolve) => {
      const probe = connect(socket, () => {
        probe.destroy();
        resolve(true);
      });
      probe.on("error", () => {
        resolve(false);
      });
    });
    if (isThere) {
      return socket;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`qemu-nbd ${args.join(" ")} doesn't listen`);
}

let disk = "";
let file = "";
let target = "";

beforeAll(async () => {
  tool("qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "16M");
  tool("qemu-io", "-c", "write -P 7 0 1M", "-c", "write -P 9 10M 64k", "disk.qcow2");
  tool("qemu-img", "create", "-q", "-f", "qcow2", "target.qcow2", "16M");
  disk = await serve("disk.sock", "-r", "-f", "qcow2", "disk.qcow2");
  file = await serve("file.sock", "-r", "-f", "raw", "disk.qcow2");
  target = await serve("target.sock", "-f", "qcow2", "target.qcow2");
  tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", uri(disk), "-F", "raw", "overlay.qcow2");
  tool("qemu-io", "-c", "write -P 5 2M 64k", "overlay.qcow2");
});
afterAll(() => {
  for (const server of servers) {
    server.kill("SIGKILL");
  }
  rmSync(directory, { recursive: true, force: true });
});

const uri = (socket: string): string => `nbd+unix:///?socket=${socket}`;
/** qemu-img spells the URI in its own way. */
const alike = ({ status, stdout }: Outcome): Outcome => ({
  status,
  stdout: stdout.replaceAll("nbd+unix://?", "nbd+unix:///?").replaceAll(/ +\n/g, "\n"),
  stderr: "",
});

describe("an export is named and shown as by qemu-img", () => {
  const names: readonly (readonly [what: string, args: () => readonly string[]])[] = [
    ["by its URI", () => [uri(disk)]],
    ["as qcow2", () => [uri(file)]],
    ["by json:", () => [`json:${JSON.stringify({ driver: "nbd", path: disk })}`]],
    [
      "by json: with a format",
      () => [
        `json:${JSON.stringify({ driver: "qcow2", file: { driver: "nbd", server: { type: "unix", path: file } } })}`,
      ],
    ],
    ["by options", () => ["--image-opts", `driver=nbd,server.type=unix,server.path=${disk}`]],
    ["by options with a format", () => ["--image-opts", `driver=qcow2,file.driver=nbd,file.path=${file},file.export=`]],
  ];

  test.each(names)("%s", (_, args) => {
    const ours = img("info", ...args());
    expect(ours.stderr).toBe("");
    expect(alike(ours)).toEqual(alike(qemuImg("info", ...args())));
    const map = img("map", "--output=json", ...args());
    expect(map.stdout).not.toBe("");
    expect(alike(map)).toEqual(alike(qemuImg("map", "--output=json", ...args())));
  });

  test("by QEMU's older name, and by a URI in options", () => {
    const options = `driver=raw,file.driver=nbd,file.filename=${uri(disk)}`;
    expect(img("info", "--image-opts", options).stdout).toBe(img("info", uri(disk)).stdout);
    expect(img("info", `nbd:unix:${disk}`).stdout).toContain("virtual size: 16 MiB");
    expect(img("map", `nbd:unix:${disk}:exportname=`).status).toBe(0);
  });
});

test("an export is converted into a file, and compared with one", () => {
  for (const [source, format] of [
    [disk, "raw"],
    [file, "qcow2"],
  ] as const) {
    expect(img("convert", "-f", format, "-O", "qcow2", uri(source), "copy.qcow2")).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect(img("convert", "-f", format, "-O", "raw", uri(source), "copy.raw")).toMatchObject({ status: 0, stderr: "" });
    expect(qemuImg("compare", "copy.raw", "copy.qcow2").status).toBe(0);
    expect(qemuImg("compare", "copy.raw", uri(disk)).status).toBe(0);
    expect(img("compare", "copy.qcow2", uri(disk))).toMatchObject({ status: 0, stdout: "Images are identical.\n" });
  }
});

test("an export below an image is opened, unless that isn't allowed", () => {
  expect(alike(img("map", "--output=json", "overlay.qcow2"))).toEqual(
    alike(qemuImg("map", "--output=json", "overlay.qcow2")),
  );
  expect(alike(img("info", "--backing-chain", "overlay.qcow2"))).toEqual(
    alike(qemuImg("info", "--backing-chain", "overlay.qcow2")),
  );
  expect(img("convert", "-O", "raw", "overlay.qcow2", "flat.raw")).toMatchObject({ status: 0, stderr: "" });
  expect(qemuImg("compare", "flat.raw", "overlay.qcow2").status).toBe(0);
  const denied = img("map", "--isolated", "overlay.qcow2");
  expect(denied.status).toBe(1);
  expect(denied.stderr).toContain("ERR_IMG_DENIED");
});

test("an image is converted into an export that is there", () => {
  expect(img("convert", "-n", "-O", "raw", "disk.qcow2", uri(target))).toMatchObject({ status: 0, stderr: "" });
  expect(qemuImg("compare", "-f", "qcow2", "disk.qcow2", uri(target)).status).toBe(0);
  expect(img("convert", "-n", "-O", "raw", "disk.qcow2", uri(disk)).stderr).toContain("read-only");
});

describe("new images are made in an export", () => {
  const options: readonly (readonly [format: string, ...more: string[]])[] = [
    ["raw"],
    ["qcow2"],
    ["qcow2", "-c"],
    ["qcow2", "-o", "cluster_size=4k,compat=0.10"],
    ["qcow2", "-o", "preallocation=metadata"],
  ];
  let place = "";
  beforeAll(async () => {
    // something else was there
    tool("qemu-img", "create", "-q", "-f", "raw", "place.raw", "24M");
    tool("qemu-io", "-f", "raw", "-c", "write -P 0xee 0 24M", "place.raw");
    place = uri(await serve("place.sock", "-f", "raw", "place.raw"));
  });

  test.each(options)("converted to %s %s %s", (format, ...more) => {
    const outcome = img("convert", "-f", "qcow2", "-O", format, ...more, "disk.qcow2", place);
    expect(outcome).toMatchObject({ status: 0, stderr: "" });
    if (format === "raw") {
      expect(qemuImg("convert", "-f", "raw", "-O", "raw", place, "all.raw").status).toBe(0);
      truncateSync(join(directory, "all.raw"), 16 * 1024 * 1024);
      expect(qemuImg("compare", "-f", "qcow2", "-F", "raw", "disk.qcow2", "all.raw").status).toBe(0);
    } else {
      expect(qemuImg("check", "-f", format, place).status).toBe(0);
      expect(qemuImg("compare", "-f", "qcow2", "-F", format, "disk.qcow2", place).status).toBe(0);
    }
  });

  test("created, also on top of another one, and copied into by dd", () => {
    expect(img("create", "-q", "-f", "qcow2", place, "1G")).toMatchObject({ status: 0, stderr: "" });
    expect(qemuImg("check", "-f", "qcow2", place).status).toBe(0);
    const below = join(directory, "disk.qcow2");
    expect(img("create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", place).status).toBe(0);
    expect(qemuImg("compare", "-f", "qcow2", "-F", "qcow2", below, place).status).toBe(0);
    expect(img("dd", "-f", "qcow2", "-O", "qcow2", "bs=1M", "count=3", `if=${below}`, `of=${place}`).status).toBe(0);
    expect(qemuImg("check", "-f", "qcow2", place).status).toBe(0);
  });

  test("unless it is too short, or can only be read", () => {
    for (const args of [
      ["create", "-f", "raw", place, "25M"],
      ["create", "-f", "qcow2", "-o", "preallocation=full", place, "25M"],
    ]) {
      const { status, stderr } = img(...args);
      expect(status).toBe(1);
      expect(stderr).toContain("ERR_IMG_NO_SPACE");
    }
    expect(img("create", "-f", "qcow2", uri(disk), "1M").stderr).toContain("ERR_IMG_READ_ONLY");
  });
});

test("what can't be reached, or isn't supported, says so in a sentence", () => {
  const outcomes = [
    ["info", "nbd+unix:///?socket=/nowhere"],
    ["info", "nbd://127.0.0.1:1/"],
    ["info", uri(disk).replace("///", "///missing")],
    ["info", "nbd+vsock://2/"],
    ["info", "nbd+unix:///"],
    ["info", `${uri(disk)}&tls-certificates=/pki`],
    ["info", "--image-opts", "driver=nbd,host=a,path=b"],
    ["info", "--image-opts", "driver=nbd,host=a,tls-creds=tls0"],
    ["info", "--image-opts", "driver=nbd,host=a,x-dirty-bitmap=b"],
    ["info", "--image-opts", "driver=nbd"],
  ].map((args) => img(...args));
  for (const { status, stderr } of outcomes) {
    expect(status).toBe(1);
    expect(stderr).toMatch(/^img: Could not open '.+': .+\n(?:.+\n)?$/);
  }
  expect(
    outcomes.map(
      ({ stderr }) =>
        /ECONNREFUSED|ENOENT|no such export|ERR_IMG_\w+|not an NBD URI|path and host|does?n't support/.exec(
          stderr,
        )?.[0],
    ),
  ).toEqual([
    "ENOENT",
    "ECONNREFUSED",
    "no such export",
    "ERR_IMG_UNSUPPORTED",
    "not an NBD URI",
    "ERR_IMG_UNSUPPORTED",
    "path and host",
    "ERR_IMG_UNSUPPORTED",
    "doesn't support",
    "path and host",
  ]);
});
