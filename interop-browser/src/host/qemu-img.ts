import { execFileSync } from "node:child_process";

/** Runs `qemu-img`, and gives what it prints. */
export function qemuImg(...args: readonly string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs commands of `qemu-io` on an image. */
export function qemuIo(image: string, format: string, ...commands: readonly string[]): void {
  execFileSync("qemu-io", ["-f", format, ...commands.flatMap((command) => ["-c", command]), image], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}
