import { optionsHelp, version } from "@img/cli";
import { optionGroups } from "./option-groups.ts";

/** What `--help` prints. */
export function helpText(program: string): string {
  const groups = optionGroups
    .filter(({ title }) => title !== "")
    .map(({ title, options }) => `${title}:\n${optionsHelp(options)}`);
  return (
    `${program} version ${version}\n` +
    `usage: ${program} [options] image…\n` +
    `       ${program} -L [options]\n` +
    "Serves disk images over NBD. Understands what qemu-nbd does.\n\n" +
    "An image is a file, json:{…}, or a directory or pattern ('images/*.qcow2'): then every file in it that can be opened\n" +
    "is an export, those that come later, too.\n\n" +
    `${groups.join("\n")}\n` +
    "Sizes are bytes; k, M, G, T, P and E stand for powers of 1024. Images whose format is guessed are served read-only.\n"
  );
}
