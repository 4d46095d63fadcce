import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./root.mjs";

/** Debian's suite whose tools speak what the oldest ones that the tests compare with don't: extended headers of NBD. */
const SUITE = "trixie";
const PACKAGES = ["libnbd-bin", "qemu-utils"];
const PROGRAMS = ["nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "qemu-nbd"];

/** Where they are: the tests look into its folder `bin`. */
const directory = join(root, "node_modules", ".cache", "img", `tools-${SUITE}`);

/**
 * Fetches newer tools into a folder of the checkout, with all their libraries: nothing is installed, and they run beside the system's own. Where they
 * can't be had (no Debian, no network), the tests that need them say so and are skipped.
 *
 * @returns {string} what the results depend on outside the repository: whether they are there, and which
 */
export function ensureNewerTools() {
  if (!existsSync(directory)) {
    try {
      fetchTools(`${directory}.new`);
      renameSync(`${directory}.new`, directory);
    } catch (error) {
      rmSync(`${directory}.new`, { recursive: true, force: true });
      const reason = error instanceof Error ? error.message : String(error);
      process.stderr.write(`without newer tools, some tests of NBD are skipped: ${reason}\n`);
      return "no newer tools";
    }
  }
  return run(join(directory, "bin", "nbdinfo"), ["--version"]).split("\n")[0] ?? "";
}

/** @param {string} place a folder for everything, which has no name that stays */
function fetchTools(place) {
  rmSync(place, { recursive: true, force: true });
  const apt = join(place, "apt");
  for (const folder of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(apt, folder), { recursive: true });
  const keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(join(apt, "sources.list"), `deb [signed-by=${keys}] http://deb.debian.org/debian ${SUITE} main\n`);
  // nothing is installed, so that all that the programs need is fetched
  writeFileSync(join(apt, "status"), "");
  const settings = [
    `Dir::Etc::sourcelist=${join(apt, "sources.list")}`,
    "Dir::Etc::sourceparts=-",
    `Dir::State::status=${join(apt, "status")}`,
    `Dir::State::lists=${join(apt, "lists")}`,
    `Dir::Cache=${join(apt, "cache")}`,
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    "APT::Sandbox::User=",
    "Debug::NoLocking=true",
  ].flatMap((setting) => ["-o", setting]);
  process.stderr.write(`fetching ${PACKAGES.join(" ")} of Debian's ${SUITE} for the tests…\n`);
  run("apt-get", [...settings, "-qq", "update"]);
  run("apt-get", [...settings, "-qq", "install", "--yes", "--download-only", "--no-install-recommends", ...PACKAGES]);
  const archives = join(apt, "cache", "archives");
  for (const file of readdirSync(archives).filter((name) => name.endsWith(".deb"))) {
    run("dpkg-deb", ["--extract", join(archives, file), join(place, "root")]);
  }
  rmSync(apt, { recursive: true });
  makePrograms(place);
}

/**
 * A newer program needs newer libraries, the C library and its loader too.
 *
 * @param {string} place
 */
function makePrograms(place) {
  const all = join(place, "root", "usr", "lib");
  const libraries = readdirSync(all).find((name) => name.endsWith("-linux-gnu"));
  const loader = readdirSync(join(all, libraries ?? "")).find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
  if (libraries === undefined || loader === undefined) throw new Error(`no loader in ${all}`);
  mkdirSync(join(place, "bin"));
  for (const program of PROGRAMS) {
    const script = [
      "#!/bin/sh",
      'root=$(dirname "$(dirname "$0")")/root/usr',
      `exec "$root/lib/${libraries}/${loader}" --library-path "$root/lib/${libraries}" "$root/bin/${program}" "$@"`,
    ];
    writeFileSync(join(place, "bin", program), `${script.join("\n")}\n`, { mode: 0o755 });
    run(join(place, "bin", program), ["--version"]);
  }
}

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @returns {string} what it printed
 */
function run(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: 300_000 });
  if (status !== 0)
    throw new Error(`${program} failed: ${error?.message ?? stderr.trim().split("\n").slice(-3).join("; ")}`);
  return stdout;
}
