import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { ensureNewerTools } from "./ensure-newer-tools.mjs";

/** The programs that the tests compare with, and the Debian package of each. */
const TOOLS = {
  "qemu-img": "qemu-utils",
  "qemu-io": "qemu-utils",
  "qemu-nbd": "qemu-utils",
  nbdinfo: "libnbd-bin",
  nbdcopy: "libnbd-bin",
  nbdsh: "python3-libnbd",
  nbdfuse: "libnbd-bin",
  nbdkit: "nbdkit",
  "nbd-client": "nbd-client",
  "qemu-storage-daemon": "qemu-system-common",
  fio: "fio",
  openssl: "openssl",
  chromium: "chromium",
  zsh: "zsh",
  fish: "fish",
  mandoc: "mandoc",
  groff: "groff-base",
  nginx: "nginx-light",
  setfacl: "acl",
  setfattr: "attr",
};

/** Administrators' programs are not on everybody's PATH. */
const DIRECTORIES = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];

/**
 * Makes sure that the tests find the real tools: installs what is missing with apt-get.
 *
 * @returns {string} what the results depend on outside the repository: the versions of Node, of qemu-img, and of newer tools
 * @throws {Error} naming the packages when something is missing and cannot be installed
 */
export function ensureTools() {
  const missing = missingTools();
  if (missing.length > 0) {
    const packages = [...new Set(missing.map((tool) => TOOLS[tool]))];
    process.stderr.write(`installing ${packages.join(" ")} for the tests (${missing.join(", ")} not found)…\n`);
    aptInstall(packages);
    const still = missingTools();
    if (still.length > 0) {
      throw new Error(
        `the tests need ${still.join(", ")}, which could not be installed here; install them with\n` +
          `  sudo apt-get install ${packages.join(" ")}\nor what your system calls these packages`,
      );
    }
  }
  const version = spawnSync("qemu-img", ["--version"], { encoding: "utf8" }).stdout.split("\n")[0];
  return `node ${process.version}, ${version}, ${ensureNewerTools()}`;
}

function missingTools() {
  return /** @type {(keyof typeof TOOLS)[]} */ (Object.keys(TOOLS)).filter((tool) => !isInstalled(tool));
}

/** @param {string} tool */
function isInstalled(tool) {
  return DIRECTORIES.some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @param {readonly string[]} packages */
function aptInstall(packages) {
  apt(["update"]);
  apt(["install", "--yes", "--no-install-recommends", ...packages]);
}

/** @param {readonly string[]} args */
function apt(args) {
  const settings = ["DEBIAN_FRONTEND=noninteractive"];
  const [program, ...rest] = [
    ...(process.getuid?.() === 0 ? [] : ["sudo", "-n"]),
    "env",
    ...settings,
    "apt-get",
    "-qq",
    ...args,
  ];
  // A failure is judged by what is still missing afterwards: other packages' troubles are not ours.
  spawnSync(program ?? "env", rest, { stdio: ["ignore", 2, 2] });
}
