import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Dice } from "./support/dice.ts";
import { tool } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "img-sequences-"));
const seed = Number(process.env["IMG_SEED"] ?? "1");
const sequences = Math.ceil(100 * Number(process.env["IMG_INTEROP_SCALE"] ?? "1"));
const stepsPerSequence = 6;
/** Sequences that run at the same time: their programs mostly wait for each other. */
const atOnce = 3;

beforeAll(() => {
  symlinkSync(program, join(root, "qemu-img"));
  symlinkSync(program, join(root, "qemu-io"));
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

interface Answer {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], cwd: string): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

/** What both programs may differ in: times of the day, places in the file, and how long something took. */
function normalized({ code, stdout, stderr }: Answer, [, verb]: readonly string[]): Answer {
  const text = stdout
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "<date>")
    .replaceAll(/("date-n?sec"): \d+/g, "$1: 0")
    .replaceAll(/"actual-size": \d+/g, '"actual-size": 0')
    .replaceAll(/^disk size: .*$/gm, "disk size: some")
    .replaceAll(/; \d\d\.\d\d sec \(.*\)$/gm, "; <time>");
  return { code, stdout: verb === "map" ? mapWithoutPlaces(text) : verb === "check" ? "" : text, stderr };
}

interface MapLine {
  start: number;
  length: number;
  depth: number;
  data: boolean;
}

/** Where there is data, and whose. Where it lies is the program's affair, and so is what is said of zeroes. */
function mapWithoutPlaces(text: string): string {
  const lines: MapLine[] = [];
  for (const { start, length, data, ...rest } of JSON.parse(text) as MapLine[]) {
    const depth = data ? rest.depth : -1;
    const last = lines.at(-1);
    if (last?.depth === depth && last.data === data) {
      last.length += length;
    } else {
      lines.push({ start, length, depth, data });
    }
  }
  return JSON.stringify(lines);
}

const images = ["base.qcow2", "mid.qcow2", "top.qcow2"] as const;

function makeImages(directory: string, dice: Dice): void {
  mkdirSync(directory);
  const options = `cluster_size=${String(dice.pick([4096, 65536]))},refcount_bits=${dice.pick(["16", "64"])}`;
  const create = (name: string, ...more: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, ...more], directory);
    tool("qemu-io", ["-c", `write -P ${String(dice.between(1, 99))} ${range(dice)}`, name], directory);
  };
  create("base.qcow2", "base.qcow2", "2M");
  create("mid.qcow2", "-b", "base.qcow2", "-F", "qcow2", "mid.qcow2");
  create("top.qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", dice.pick(["2M", "3M"]));
}

/** Somewhere in the first 2 MiB. */
function range(dice: Dice): string {
  const offset = dice.between(0, 4000) * 512;
  return `${String(offset)} ${String(512 * dice.between(1, Math.min(300, 4096 - offset / 512)))}`;
}

/** One call of a program, `qemu-img` or `qemu-io`. */
function randomCall(dice: Dice): readonly string[] {
  const image = dice.pick(images);
  const name = `s${String(dice.between(1, 3))}`;
  const calls: readonly (() => readonly string[])[] = [
    () => [
      "qemu-io",
      "-c",
      `write -P ${String(dice.between(1, 255))} ${range(dice)}`,
      "-c",
      `read -P 3 ${range(dice)}`,
      image,
    ],
    () => ["qemu-io", "-c", `write -P ${String(dice.between(1, 255))} ${range(dice)}`, "-c", `read -v 1k 64`, image],
    () => ["qemu-io", "-c", `write -z ${String(64 * dice.between(0, 20))}k 64k`, image],
    // not above another image, which a commit would change under them: that is refused here
    () => ["qemu-img", "snapshot", "-c", name, "base.qcow2"],
    () => ["qemu-img", "snapshot", dice.pick(["-a", "-d"]), name, "base.qcow2"],
    () => ["qemu-img", "snapshot", "-l", image],
    () => ["qemu-img", "resize", "-q", image, dice.pick(["+64k", "3M", "4M"])],
    () => [
      "qemu-img",
      "bitmap",
      dice.pick(["--add", "--remove", "--clear", "--disable", "--enable"]),
      image,
      `b${name}`,
    ],
    () => [
      "qemu-img",
      "commit",
      ...dice.pick([[], ["-d"], ["-b", "base.qcow2"]]),
      dice.pick(["mid.qcow2", "top.qcow2"]),
    ],
    () => ["qemu-img", "rebase", "-b", dice.pick(["", "base.qcow2", "mid.qcow2"]), "-F", "qcow2", "top.qcow2"],
    () => ["qemu-img", "info", "--output", dice.pick(["json", "human"]), image],
    () => ["qemu-img", "map", "--output", "json", image],
    () => ["qemu-img", "check", image],
    () => ["qemu-img", "compare", image, dice.pick(images)],
    () => ["qemu-img", "measure", "-O", dice.pick(["raw", "qcow2"]), image],
    () => ["qemu-img", "convert", "-O", dice.pick(["raw", "qcow2"]), ...dice.pick([[], ["-c"]]), image, "copy"],
  ];
  return dice.pick(calls)();
}

async function expectSameImages(ours: string, theirs: string): Promise<void> {
  for (const image of images) {
    const contents = async (directory: string): Promise<Buffer> => {
      const { code, stderr } = await run(
        "qemu-img",
        ["convert", "-f", "qcow2", "-O", "raw", image, "contents"],
        directory,
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return readFileSync(join(directory, "contents"));
    };
    const [our, their] = [await contents(ours), await contents(theirs)];
    expect(our.equals(their), `contents of ${image}`).toBe(true);
    const check = await run("qemu-img", ["check", "-f", "qcow2", image], ours);
    expect(check.code, check.stdout + check.stderr).toBe(0);
    const details = async (directory: string): Promise<unknown> => {
      const { stdout } = await run("qemu-img", ["info", "--output=json", image], directory);
      const found = JSON.parse(stdout) as Record<string, unknown>;
      return {
        ...found,
        "actual-size": 0,
        snapshots: JSON.stringify(found["snapshots"] ?? []).replaceAll(/"date-n?sec":\d+/g, ""),
      };
    };
    expect(await details(ours)).toEqual(await details(theirs));
  }
}

async function runSequence(index: number): Promise<void> {
  const dice = new Dice(seed * 100_003 + index);
  const ours = join(root, `ours-${String(index)}`);
  const theirs = join(root, `theirs-${String(index)}`);
  makeImages(theirs, dice);
  cpSync(theirs, ours, { recursive: true });
  const log: string[] = [];
  try {
    for (let step = 0; step < stepsPerSequence; step++) {
      const call = randomCall(dice);
      const [command = "", ...args] = call;
      log.push(call.join(" "));
      const [our, their] = await Promise.all([
        run(process.execPath, [join(root, command), ...args], ours),
        run(command, args, theirs),
      ]);
      expect(normalized(our, call)).toEqual(normalized(their, call));
    }
    await expectSameImages(ours, theirs);
  } catch (error) {
    throw new Error(`sequence ${String(index)}, seed ${String(seed)}\n${log.join("\n")}\n${String(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(ours, { recursive: true, force: true });
    rmSync(theirs, { recursive: true, force: true });
  }
}

it("random sequences of verbs answer as qemu-img and qemu-io do, and leave the same images", async () => {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < sequences) {
      await runSequence(next++);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  console.log(`${String(sequences)} sequences of ${String(stepsPerSequence)} calls, seed ${String(seed)}`);
  expect(next).toBe(sequences);
});
