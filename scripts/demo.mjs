// What `npm start` shows: the command line at work on a small image of the repository.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./root.mjs";

const program = join(root, "apps/cli/dist/img.js");
const samples = join(root, "samples");

/**
 * Runs the command line on the samples, and shows what was run and what it prints.
 *
 * @param {readonly string[]} args
 * @param {string} [shown] how the arguments are shown, where they are too long
 */
function img(args, shown = args.join(" ")) {
  process.stdout.write(`\n$ img ${shown}\n`);
  const { status } = spawnSync(process.execPath, [program, ...args], { cwd: samples, stdio: "inherit" });
  if (status !== 0) throw new Error(`img ${args[0] ?? ""} failed`);
}

/** The checksum that QEMU's own reading of the sample has. */
function expectedChecksum() {
  return readFileSync(join(samples, "sample.sha256"), "utf8").split(" ")[0];
}

const directory = mkdtempSync(join(tmpdir(), "img-demo-"));
try {
  process.stdout.write(
    "samples/sample.qcow2 was made by qemu-img. It has plain, compressed and zero clusters, and shows\n" +
      "samples/base.qcow2 where it has nothing of its own. This is what img makes of it:\n",
  );
  img(["info", "sample.qcow2"]);
  img(["map", "--output=json", "sample.qcow2"]);
  const target = join(directory, "sample.raw");
  img(["convert", "-O", "raw", "sample.qcow2", target], "convert -O raw sample.qcow2 sample.raw");
  img(["compare", "sample.qcow2", target], "compare sample.qcow2 sample.raw");

  const found = createHash("sha256").update(readFileSync(target)).digest("hex");
  const expected = expectedChecksum();
  process.stdout.write(`\nsha256 of sample.raw   ${found}\nsha256 by qemu-img     ${String(expected)}\n`);
  if (found !== expected) throw new Error("they differ: the conversion is wrong");
  process.stdout.write(
    "They are the same.\n\nTry your own:  npm start -- info disk.qcow2\n               npm start -- help\n",
  );
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
