import { version } from "./version.ts";

/** The version of QEMU whose programs do what ours does when it is called by their names. */
const qemuVersion = "7.2.22";

/** Whether the program is called by the name of one of QEMU's. */
function isQemuName(program: string): boolean {
  return program === "qemu-img" || program === "qemu-io";
}

/**
 * What `--version` prints. Scripts look for `qemu-img version 7.2.22` to learn what it can do, so that is what it says by that name, with our own version
 * behind it.
 */
export function versionText(program: string): string {
  return isQemuName(program)
    ? `${program} version ${qemuVersion} (img ${version})\n`
    : `${program} version ${version}\n`;
}
