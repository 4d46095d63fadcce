import { CommandError } from "../errors/command-error.ts";

/**
 * Refuses to write to an image whose options say that nobody is to: before it is opened, because they say it for a reason.
 * @param unwritable - from the image's options
 * @throws CommandError in qemu-img's words
 */
export function requireWritable(name: string, unwritable: string | undefined): void {
  if (unwritable !== undefined) {
    throw new CommandError(`Could not open '${name}': ${unwritable}`);
  }
}
